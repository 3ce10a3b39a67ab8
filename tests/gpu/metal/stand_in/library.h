#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gpu/kernel_table.h"
#include "gpu/metal/stand_in/foundation.h"
#include "gpu/metal/stand_in/gpu_device.h"
#include "msl/module.h"
#include "msl/soft/soft_module.h"

namespace lattice::gpu::stand_in {

/// A source that was compiled: its structure, and its kernels for the soft device.
struct CompiledSource {
  std::string key;  ///< tells sources apart
  msl::Module module;
  std::unique_ptr<msl::SoftModule> soft;
  std::vector<KernelSignature> signatures;
  bool is_built_in = false;  ///< its tokens are those of a file in src/gpu/kernels
};

class CompileOptions final : public Object {
 public:
  CompileOptions() : Object("MTLCompileOptions") {}
  void set_version(MTL::LanguageVersion value) { version = value; }
  void set_fast_math(bool value) { fast_math = value; }

  MTL::LanguageVersion version = MTL::LanguageVersion3_1;
  bool fast_math = true;
};

class ConstantValues final : public Object {
 public:
  ConstantValues() : Object("MTLFunctionConstantValues") {}
  void set(const void* value, MTL::DataType type, NS::UInteger index);

  struct Value {
    MTL::DataType type;
    std::vector<std::byte> bytes;
  };
  std::map<std::uint32_t, Value> values;
};

class Library final : public Object {
 public:
  explicit Library(CompiledSource& source) : Object("MTLLibrary"), source_(source) {}
  MTL::Function* new_function(const NS::String* name, const MTL::FunctionConstantValues* constants,
                              NS::Error** error);

 private:
  CompiledSource& source_;
};

class Function final : public Object {
 public:
  Function(CompiledSource& source, const KernelSignature& signature,
           std::vector<msl::ConstantValue> constants)
      : Object("MTLFunction"), source(source), signature(signature), constants(std::move(constants)) {}

  /// Tells specialised functions apart.
  [[nodiscard]] std::string key() const;

  CompiledSource& source;
  const KernelSignature& signature;
  std::vector<msl::ConstantValue> constants;
};

class PipelineDescriptor final : public Object {
 public:
  PipelineDescriptor() : Object("MTLComputePipelineDescriptor") {}
  void set_function(const MTL::Function* function);
  void set_label(const NS::String* label) { (void)as<String>(label, "setLabel:"); }
  void set_archives(const NS::Array* archives);

  Strong<Function> function;
  Strong<Array> archives;

 protected:
  void dealloc() override;
};

class Pipeline final : public Object {
 public:
  explicit Pipeline(Function& function) : Object("MTLComputePipelineState"), function(&function) {}
  NS::UInteger most_threads();
  NS::UInteger simd_width() { return machine().simd_width; }

  Strong<Function> function;
  /// Command buffers that use this and do not retain it, not done yet.
  int uses = 0;

 protected:
  void dealloc() override;
};

class ArchiveDescriptor final : public Object {
 public:
  ArchiveDescriptor() : Object("MTLBinaryArchiveDescriptor") {}
  void set_url(const NS::URL* url) { file = Strong<Url>(as<Url>(url, "setUrl:", /*nil=*/true)); }

  Strong<Url> file;

 protected:
  void dealloc() override { file.reset(); }
};

class Archive final : public Object {
 public:
  Archive() : Object("MTLBinaryArchive") {}
  bool add(const MTL::ComputePipelineDescriptor* descriptor, NS::Error** error);
  bool serialize(const NS::URL* url, NS::Error** error);

  std::set<std::string> keys;
};

}  // namespace lattice::gpu::stand_in
