#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "gpu/metal/stand_in/foundation.h"
#include "gpu/metal/stand_in/machine.h"

namespace lattice::gpu::stand_in {

class GpuDevice final : public Object {
 public:
  explicit GpuDevice(DeviceSpec spec) : Object("MTLDevice"), spec_(std::move(spec)) {}

  NS::String* name() { return autoreleased(spec_.name); }
  bool supports_family(MTL::GPUFamily family);
  NS::UInteger most_buffer() { return machine().most_buffer; }
  uint64_t working_set() { return machine().most_memory; }
  NS::UInteger allocated() { return machine().memory; }

  MTL::Buffer* new_buffer(NS::UInteger length, MTL::ResourceOptions options);
  MTL::Buffer* new_buffer_no_copy(const void* pointer, NS::UInteger length, MTL::ResourceOptions options,
                                  void (^deallocator)(void*, NS::UInteger));
  MTL::SharedEvent* new_event();
  MTL::CommandQueue* new_queue(NS::UInteger most);
  MTL::ResidencySet* new_residency_set(const MTL::ResidencySetDescriptor* descriptor, NS::Error** error);
  MTL::Library* new_library(const NS::String* source, const MTL::CompileOptions* options, NS::Error** error);
  MTL::BinaryArchive* new_archive(const MTL::BinaryArchiveDescriptor* descriptor, NS::Error** error);
  MTL::ComputePipelineState* new_pipeline(const MTL::ComputePipelineDescriptor* descriptor,
                                          MTL::PipelineOption options,
                                          const MTL::AutoreleasedComputePipelineReflection* reflection,
                                          NS::Error** error);

 private:
  DeviceSpec spec_;
};

/// Memory of the device, or pages of the program's.
class GpuBuffer final : public Object {
 public:
  GpuBuffer(std::byte* data, std::size_t bytes, bool owned)
      : Object("MTLBuffer"), data_(data), bytes_(bytes), owned_(owned) {}
  ~GpuBuffer() override { free_memory(); }
  GpuBuffer(const GpuBuffer&) = delete;
  GpuBuffer& operator=(const GpuBuffer&) = delete;

  void* contents() { return data_; }
  NS::UInteger length() { return bytes_; }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool is_owned() const noexcept { return owned_; }

  /// Command buffers that use this and do not retain it, not done yet.
  int uses = 0;

 protected:
  void dealloc() override;

 private:
  void free_memory() noexcept;

  std::byte* data_;
  std::size_t bytes_;
  bool owned_;
};

class GpuEvent final : public Object {
 public:
  GpuEvent() : Object("MTLSharedEvent") {}

  uint64_t signaled() { return value; }
  bool wait_until(uint64_t wanted, uint64_t milliseconds);

  std::uint64_t value = 0;
};

class ResidencySetDescriptor final : public Object {
 public:
  ResidencySetDescriptor() : Object("MTLResidencySetDescriptor") {}
};

/// What is added or removed counts once it is committed.
class ResidencySet final : public Object {
 public:
  ResidencySet() : Object("MTLResidencySet") {}

  void add(const MTL::Allocation* allocation);
  void remove(const MTL::Allocation* allocation);
  void commit() { committed_ = pending_; }
  void request() {}
  [[nodiscard]] bool contains(const GpuBuffer& buffer) const { return committed_.contains(&buffer); }

 private:
  std::set<const GpuBuffer*> pending_;
  std::set<const GpuBuffer*> committed_;
};

}  // namespace lattice::gpu::stand_in
