#include "gpu/metal/metal_commands.h"

#include <algorithm>
#include <utility>

#include "gpu/argument_check.h"
#include "support/fail.h"

namespace lattice::gpu::metal {
namespace {

constexpr std::size_t kMostBytes = 4096;  // that setBytes takes

MTL::Size metal_size(const msl::Size3& size) {
  return {size[0], size[1], size[2]};
}

void bind(MTL::ComputeCommandEncoder& encoder, const KernelParameter& parameter, const Argument& argument) {
  if (argument.buffer() == nullptr) {
    encoder.setBytes(argument.constants().data(), argument.constants().size(), parameter.index);
    return;
  }
  const auto& own = dynamic_cast<const MetalBuffer&>(*argument.buffer());
  encoder.setBuffer(&own.buffer(), own.first() + argument.offset(), parameter.index);
}

}  // namespace

MetalBuffer::MetalBuffer(Queue& queue, Owned<MTL::Buffer> buffer, std::size_t bytes)
    : Buffer(bytes), queue_(queue), buffer_(std::move(buffer)) {
  queue_.add(*buffer_);
}

MetalBuffer::MetalBuffer(Queue& queue, Owned<MTL::Buffer> pages, std::size_t first, std::size_t bytes)
    : Buffer(bytes), queue_(queue), buffer_(std::move(pages)), first_(first), is_wrapped_(true) {
  queue_.add(*buffer_);
}

MetalBuffer::~MetalBuffer() {
  queue_.remove(*buffer_);
}

std::byte* MetalBuffer::data() const noexcept {
  return static_cast<std::byte*>(buffer_->contents()) + first_;
}

void MetalBuffer::check_writable() const {
  if (is_wrapped_) fail_usage("a device buffer that wraps mapped memory cannot be written");
}

void MetalBuffer::upload(std::size_t offset, std::span<const std::byte> from) {
  check_range(offset, from.size());
  check_writable();
  queue_.wait();
  std::ranges::copy(from, data() + offset);
}

void MetalBuffer::download(std::size_t offset, std::span<std::byte> to) const {
  check_range(offset, to.size());
  queue_.wait();
  read(offset, to);
}

void MetalBuffer::clear() {
  check_writable();
  queue_.wait();
  std::fill_n(data(), bytes(), std::byte{0});
}

void MetalBuffer::read(std::size_t offset, std::span<std::byte> to) const {
  check_range(offset, to.size());
  std::copy_n(data() + offset, to.size(), to.begin());
}

void MetalCommands::dispatch(const Kernel& kernel, std::vector<Argument> arguments, Extent threadgroups,
                             std::uint32_t threads_per_threadgroup) {
  const auto& own = dynamic_cast<const MetalKernel&>(kernel);
  const msl::Grid grid =
      check_dispatch(own.signature(), own.info(), arguments, threadgroups, threads_per_threadgroup);
  if (threads_per_threadgroup > own.max_threads()) {
    fail_usage("kernel {} takes threadgroups of at most {} threads on this device, not {}", kernel.name(),
               own.max_threads(), threads_per_threadgroup);
  }
  for (const Argument& argument : arguments) {
    if (argument.constants().size() > kMostBytes) {
      fail_usage("kernel {}: {} bytes of constants were given, and Metal takes {}", kernel.name(),
                 argument.constants().size(), kMostBytes);
    }
  }
  list_.push_back({&own, std::move(arguments), grid, std::exchange(next_waits_, false)});
}

void MetalCommands::barrier() {
  Commands::barrier();
  next_waits_ = !list_.empty();
}

void MetalCommands::encode(MTL::ComputeCommandEncoder& encoder) const {
  const MTL::ComputePipelineState* current = nullptr;
  for (const Dispatch& dispatch : list_) {
    const MetalKernel& kernel = *dispatch.kernel;
    if (dispatch.waits) encoder.memoryBarrier(MTL::BarrierScopeBuffers);
    if (&kernel.pipeline() != current) encoder.setComputePipelineState(&kernel.pipeline());
    current = &kernel.pipeline();
    const std::vector<KernelParameter>& parameters = kernel.signature().parameters;
    for (std::size_t i = 0; i < parameters.size(); ++i) bind(encoder, parameters[i], dispatch.arguments[i]);
    encoder.dispatchThreadgroups(metal_size(dispatch.grid.threadgroups()),
                                 metal_size(dispatch.grid.threadgroup));
  }
}

}  // namespace lattice::gpu::metal
