#include "gpu/metal/pipeline_compiler.h"

#include <fmt/format.h>

#include "support/fail.h"
#include "support/fnv.h"

namespace lattice::gpu::metal {
namespace {

constexpr NS::UInteger kSimdWidth = 32;

std::string system_version() {
  const AutoreleaseScope scope;
  return text_of(NS::ProcessInfo::processInfo()->operatingSystemVersionString());
}

/// Tells archives apart: by the kernels' text, the device and the system, whose compiler it was.
std::string archive_name(MTL::Device& device) {
  const AutoreleaseScope scope;
  std::uint64_t key = fnv1a(text_of(device.name()));
  key = fnv1a(system_version(), key);
  for (const BuiltInKernels& file : built_in_kernels()) key = fnv1a(file.metal, key);
  return fmt::format("{:016x}", key);
}

std::size_t bytes_of_constant(const soft::ModuleInfo& module, std::uint32_t index) {
  for (unsigned i = 0; i < module.constant_count; ++i) {
    if (module.constants[i].index == index) return module.constants[i].bytes;
  }
  return 0;  // find_kernel() has refused it
}

Owned<MTL::FunctionConstantValues> constant_values(const soft::ModuleInfo& module,
                                                   std::span<const FunctionConstant> constants) {
  Owned<MTL::FunctionConstantValues> out(MTL::FunctionConstantValues::alloc()->init());
  for (const FunctionConstant& constant : constants) {
    // The kernels' constants are bools and unsigned integers; both are read from the value's first bytes.
    const bool is_bool = bytes_of_constant(module, constant.index) == sizeof(bool);
    out->setConstantValue(&constant.value, is_bool ? MTL::DataTypeBool : MTL::DataTypeUInt, constant.index);
  }
  return out;
}

}  // namespace

PipelineCompiler::PipelineCompiler(MTL::Device& device, const std::optional<std::filesystem::path>& folder)
    : device_(device), archive_(device, folder, archive_name(device)) {}

Owned<MTL::Library> PipelineCompiler::compile_library(std::string_view name, std::string_view source) {
  const AutoreleaseScope scope;
  const Owned<MTL::CompileOptions> options(MTL::CompileOptions::alloc()->init());
  options->setLanguageVersion(MTL::LanguageVersion3_1);  // the first with bfloat
  options->setFastMathEnabled(
      false);  // infinities and NaNs are values here: of a masked key, of a damaged logit
  NS::Error* error = nullptr;
  Owned<MTL::Library> library(device_.newLibrary(ns_string(source).get(), options.get(), &error));
  if (library == nullptr) {
    constexpr std::size_t kLongestMessage = 2000;
    fail("metal: {}.metal does not compile: {}", name, text_of(error).substr(0, kLongestMessage));
  }
  return library;
}

Owned<MTL::Function> PipelineCompiler::specialize(const FoundKernel& kernel,
                                                  std::span<const FunctionConstant> constants) {
  const BuiltInKernels& file = *kernel.file;
  Owned<MTL::Library>& library = libraries_[&file];
  if (library == nullptr) library = compile_library(file.name, file.metal);
  const std::string& name = file.signatures[kernel.place].name;
  const Owned<MTL::FunctionConstantValues> values = constant_values(*file.entry(), constants);
  NS::Error* error = nullptr;
  Owned<MTL::Function> function(library->newFunction(ns_string(name).get(), values.get(), &error));
  if (function == nullptr) fail("metal: kernel {} cannot be specialized: {}", name, text_of(error));
  return function;
}

Owned<MTL::ComputePipelineState> PipelineCompiler::compile(const FoundKernel& kernel,
                                                           std::span<const FunctionConstant> constants) {
  const AutoreleaseScope scope;
  const std::string& name = kernel.file->signatures[kernel.place].name;
  const Owned<MTL::Function> function = specialize(kernel, constants);
  const Owned<MTL::ComputePipelineDescriptor> descriptor(MTL::ComputePipelineDescriptor::alloc()->init());
  descriptor->setComputeFunction(function.get());
  descriptor->setLabel(ns_string(name).get());  // what Apple's profiler shows
  NS::Error* error = nullptr;
  Owned<MTL::ComputePipelineState> pipeline = archive_.pipeline(*descriptor, &error);
  if (pipeline == nullptr) fail("metal: kernel {} cannot be compiled: {}", name, text_of(error));
  if (pipeline->threadExecutionWidth() != kSimdWidth) {
    fail("metal: kernel {} would run in simdgroups of {} lanes, and needs {}", name,
         pipeline->threadExecutionWidth(), kSimdWidth);
  }
  return pipeline;
}

}  // namespace lattice::gpu::metal
