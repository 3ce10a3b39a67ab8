#include "gpu/metal/stand_in/gpu_device.h"

#include <cstdlib>

#include <unistd.h>

#include "gpu/metal/stand_in/commands.h"

namespace lattice::gpu::stand_in {

bool GpuDevice::supports_family(MTL::GPUFamily family) {
  return spec_.is_apple && family >= MTL::GPUFamilyApple1 && family <= MTL::GPUFamilyApple8;
}

MTL::Buffer* GpuDevice::new_buffer(NS::UInteger length, MTL::ResourceOptions options) {
  if (length == 0) violate("a buffer of no bytes is asked for");
  if (options != MTL::ResourceStorageModeShared) {
    violate(
        "a buffer with options {} is asked for: the host reads and writes what is shared, and hazards "
        "between encoders are Metal's to track",
        options);
  }
  if (length > machine().most_buffer || length > machine().most_memory - machine().memory) return nullptr;
  machine().memory += length;
  auto* data = static_cast<std::byte*>(std::calloc(length, 1));
  return to_metal<MTL::Buffer>(make<GpuBuffer>(data, length, true));
}

MTL::Buffer* GpuDevice::new_buffer_no_copy(const void* pointer, NS::UInteger length,
                                           MTL::ResourceOptions options,
                                           void (^deallocator)(void*, NS::UInteger)) {
  const auto page = static_cast<std::size_t>(getpagesize());
  if (reinterpret_cast<std::uintptr_t>(pointer) % page != 0 || length % page != 0 || length == 0) {
    violate("newBufferWithBytesNoCopy takes whole pages");
    return nullptr;
  }
  if (options != MTL::ResourceStorageModeShared || deallocator != nullptr) {
    violate("newBufferWithBytesNoCopy: memory that stays the program's is shared, and is not given back");
  }
  if (length > machine().most_buffer) return nullptr;
  machine().wrapped += length;
  // Read-only pages stay so: a kernel that writes there does not survive it.
  auto* data = static_cast<std::byte*>(const_cast<void*>(pointer));
  return to_metal<MTL::Buffer>(make<GpuBuffer>(data, length, false));
}

MTL::SharedEvent* GpuDevice::new_event() {
  return to_metal<MTL::SharedEvent>(make<GpuEvent>());
}

MTL::CommandQueue* GpuDevice::new_queue(NS::UInteger most) {
  return to_metal<MTL::CommandQueue>(make<CommandQueue>(most));
}

MTL::ResidencySet* GpuDevice::new_residency_set(const MTL::ResidencySetDescriptor* descriptor,
                                                NS::Error** /*error*/) {
  (void)as<ResidencySetDescriptor>(descriptor, "newResidencySetWithDescriptor:");
  return to_metal<MTL::ResidencySet>(make<ResidencySet>());
}

void GpuBuffer::free_memory() noexcept {
  if (owned_ && data_ != nullptr) {
    machine().memory -= bytes_;
    std::free(data_);
  }
  data_ = nullptr;
}

void GpuBuffer::dealloc() {
  if (uses != 0) violate("an MTLBuffer is released while a command buffer that uses it is not done");
  free_memory();
}

void ResidencySet::add(const MTL::Allocation* allocation) {
  if (auto* buffer = as<GpuBuffer>(allocation, "addAllocation:")) pending_.insert(buffer);
}

void ResidencySet::remove(const MTL::Allocation* allocation) {
  auto* buffer = as<GpuBuffer>(allocation, "removeAllocation:");
  if (buffer != nullptr && pending_.erase(buffer) == 0) {
    violate("removeAllocation: was given what is not in the set");
  }
}

void register_metal_device() {
  using NewBuffer = MTL::Buffer* (MTL::Device::*)(NS::UInteger, MTL::ResourceOptions);
  using NewBufferNoCopy = MTL::Buffer* (MTL::Device::*)(const void*, NS::UInteger, MTL::ResourceOptions,
                                                        void (^)(void*, NS::UInteger));
  using NewEvent = MTL::SharedEvent* (MTL::Device::*)();
  using NewQueue = MTL::CommandQueue* (MTL::Device::*)(NS::UInteger);
  using NewLibrary =
      MTL::Library* (MTL::Device::*)(const NS::String*, const MTL::CompileOptions*, NS::Error**);
  using NewPipeline = MTL::ComputePipelineState* (
      MTL::Device::*)(const MTL::ComputePipelineDescriptor*, MTL::PipelineOption,
                      const MTL::AutoreleasedComputePipelineReflection*, NS::Error**);
  ClassBuilder<GpuDevice>("MTLDevice")
      .method<&GpuDevice::name>("name", &MTL::Device::name)
      .method<&GpuDevice::supports_family>("supportsFamily:", &MTL::Device::supportsFamily)
      .method<&GpuDevice::most_buffer>("maxBufferLength", &MTL::Device::maxBufferLength)
      .method<&GpuDevice::working_set>("recommendedMaxWorkingSetSize",
                                       &MTL::Device::recommendedMaxWorkingSetSize)
      .method<&GpuDevice::allocated>("currentAllocatedSize", &MTL::Device::currentAllocatedSize)
      .method<&GpuDevice::new_buffer>("newBufferWithLength:options:",
                                      static_cast<NewBuffer>(&MTL::Device::newBuffer))
      .method<&GpuDevice::new_buffer_no_copy>("newBufferWithBytesNoCopy:length:options:deallocator:",
                                              static_cast<NewBufferNoCopy>(&MTL::Device::newBuffer))
      .method<&GpuDevice::new_event>("newSharedEvent", static_cast<NewEvent>(&MTL::Device::newSharedEvent))
      .method<&GpuDevice::new_queue>("newCommandQueueWithMaxCommandBufferCount:",
                                     static_cast<NewQueue>(&MTL::Device::newCommandQueue))
      .method<&GpuDevice::new_residency_set>(
          "newResidencySetWithDescriptor:error:", &MTL::Device::newResidencySet, 15)
      .method<&GpuDevice::new_library>("newLibraryWithSource:options:error:",
                                       static_cast<NewLibrary>(&MTL::Device::newLibrary))
      .method<&GpuDevice::new_archive>("newBinaryArchiveWithDescriptor:error:",
                                       &MTL::Device::newBinaryArchive)
      .method<&GpuDevice::new_pipeline>("newComputePipelineStateWithDescriptor:options:reflection:error:",
                                        static_cast<NewPipeline>(&MTL::Device::newComputePipelineState));
  ClassBuilder<GpuBuffer>("MTLBuffer")
      .method<&GpuBuffer::contents>("contents", &MTL::Buffer::contents)
      .method<&GpuBuffer::length>("length", &MTL::Buffer::length);
  ClassBuilder<GpuEvent>("MTLSharedEvent")
      .method<&GpuEvent::signaled>("signaledValue", &MTL::SharedEvent::signaledValue)
      .method<&GpuEvent::wait_until>("waitUntilSignaledValue:timeoutMS:",
                                     &MTL::SharedEvent::waitUntilSignaledValue);
  ClassBuilder<ResidencySetDescriptor>("MTLResidencySetDescriptor").allocates();
  ClassBuilder<ResidencySet>("MTLResidencySet")
      .method<&ResidencySet::add>("addAllocation:", &MTL::ResidencySet::addAllocation)
      .method<&ResidencySet::remove>("removeAllocation:", &MTL::ResidencySet::removeAllocation)
      .method<&ResidencySet::commit>("commit", &MTL::ResidencySet::commit)
      .method<&ResidencySet::request>("requestResidency", &MTL::ResidencySet::requestResidency);
}

}  // namespace lattice::gpu::stand_in

using namespace lattice::gpu::stand_in;

extern "C" NS::Array* MTLCopyAllDevices() {
  auto* out = make<Array>();
  for (const DeviceSpec& spec : machine().devices) {
    auto* device = make<GpuDevice>(spec);
    out->elements.emplace_back(device);
    device->release();
  }
  return to_metal<NS::Array>(out);
}

// Metal-cpp refers to these, and the Metal device calls neither.
extern "C" MTL::Device* MTLCreateSystemDefaultDevice() {
  violate("the default device is asked for, which a process without a display has not");
  return nullptr;
}
extern "C" NS::Array* MTLCopyAllDevicesWithObserver(NS::Object**, MTL::DeviceNotificationHandlerBlock) {
  violate("devices are to be watched");
  return nullptr;
}
extern "C" void MTLRemoveDeviceObserver(const NS::Object*) {
  violate("devices are no longer to be watched");
}
