#include "gpu/metal/metal_device.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "gpu/kernels/kernel_args.h"
#include "gpu/metal/device_pick.h"
#include "gpu/metal/metal_commands.h"
#include "gpu/metal/pipeline_compiler.h"
#include "gpu/metal/queue.h"
#include "support/cache_folder.h"
#include "support/fail.h"

namespace lattice::gpu {
namespace metal {
namespace {

class MetalDevice final : public Device {
 public:
  MetalDevice(Owned<MTL::Device> device, std::string name)
      : device_(std::move(device)),
        name_(std::move(name)),
        cores_(gpu_cores()),
        compiler_(*device_, cache_folder("metal")),
        queue_(*device_) {}

  [[nodiscard]] std::string description() const override { return fmt::format("metal ({})", name_); }
  [[nodiscard]] std::uint32_t cores() const noexcept override { return cores_; }

  [[nodiscard]] std::unique_ptr<Buffer> allocate(std::size_t bytes) override {
    if (bytes == 0) fail_usage("a device buffer has at least one byte");
    const AutoreleaseScope scope;
    // Metal zeroes it.
    Owned<MTL::Buffer> buffer(device_->newBuffer(bytes, MTL::ResourceStorageModeShared));
    if (buffer == nullptr) fail_memory(bytes);
    return std::make_unique<MetalBuffer>(queue_, std::move(buffer), bytes);
  }

  [[nodiscard]] std::unique_ptr<Buffer> wrap(std::span<const std::byte> memory) override {
    const auto page = static_cast<std::size_t>(getpagesize());
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::size_t first = address % page;
    const std::size_t length = (first + memory.size() + page - 1) / page * page;
    if (memory.empty() || address % kVectorBytes != 0 || length > device_->maxBufferLength()) return nullptr;
    const AutoreleaseScope scope;
    Owned<MTL::Buffer> pages(
        device_->newBuffer(memory.data() - first, length, MTL::ResourceStorageModeShared, nullptr));
    if (pages == nullptr) return nullptr;
    return std::make_unique<MetalBuffer>(queue_, std::move(pages), first, memory.size());
  }

  [[nodiscard]] const Kernel& kernel(std::string_view name,
                                     std::span<const FunctionConstant> constants) override {
    KernelKey key{std::string(name), {}};
    for (const FunctionConstant& constant : constants) {
      key.second.emplace_back(constant.index, constant.value);
    }
    if (const auto found = kernels_.find(key); found != kernels_.end()) return *found->second;
    const FoundKernel found = find_kernel(built_in_kernels(), name, constants);
    auto kernel = std::make_unique<MetalKernel>(compiler_.compile(found, constants),
                                                found.file->signatures[found.place], *found.info);
    return *kernels_.emplace(std::move(key), std::move(kernel)).first->second;
  }

  [[nodiscard]] std::unique_ptr<Commands> new_commands() override {
    return std::make_unique<MetalCommands>();
  }

  void submit(const Commands& commands) override {
    const AutoreleaseScope scope;
    const auto& own = dynamic_cast<const MetalCommands&>(commands);
    if (own.dispatches() != 0) {
      own.encode(queue_.begin_submission());
      queue_.end_submission();
    }
    count(commands);
  }
  void wait() override { queue_.wait(); }

  [[nodiscard]] double measure_copy_bandwidth() override {
    constexpr std::size_t kBytes = std::size_t{256} << 20;  // many times any cache
    constexpr int kCopies = 5;
    constexpr std::uint32_t kThreadgroups = 4096;
    constexpr std::uint32_t kThreads = 256;
    const auto from = allocate(kBytes);
    const auto to = allocate(kBytes);
    MetalCommands commands;
    commands.dispatch(kernel("copy", {}), {*from, *to, lattice_gpu::CopyArgs{kBytes / kVectorBytes}},
                      {kThreadgroups}, kThreads);
    std::vector<double> times;
    for (int i = 0; i < kCopies; ++i) {
      const double before = queue_.busy_seconds();
      submit(commands);
      wait();
      times.push_back(queue_.busy_seconds() - before);
    }
    std::ranges::sort(times);
    return 2.0 * static_cast<double>(kBytes) / times[times.size() / 2];
  }
  [[nodiscard]] double busy_seconds() override { return queue_.busy_seconds(); }

  [[nodiscard]] Mark mark() override {
    const AutoreleaseScope scope;
    return queue_.mark();
  }
  void download_at(Mark mark, const Buffer& from, std::size_t offset, std::span<std::byte> to) override {
    queue_.wait_for(mark);
    dynamic_cast<const MetalBuffer&>(from).read(offset, to);
  }

 private:
  using KernelKey = std::pair<std::string, std::vector<std::pair<std::uint32_t, std::uint32_t>>>;
  static constexpr std::size_t kVectorBytes = 16;  // what the kernels load at once

  [[noreturn]] void fail_memory(std::size_t bytes) const {
    constexpr double kGB = 1e-9;
    fail(
        "metal: a buffer of {:.2f} GB was asked for; {:.2f} GB are in use, the system recommends at most "
        "{:.2f}, and one buffer may have {:.2f}",
        static_cast<double>(bytes) * kGB, static_cast<double>(device_->currentAllocatedSize()) * kGB,
        static_cast<double>(device_->recommendedMaxWorkingSetSize()) * kGB,
        static_cast<double>(device_->maxBufferLength()) * kGB);
  }

  Owned<MTL::Device> device_;
  std::string name_;
  std::uint32_t cores_;
  PipelineCompiler compiler_;
  std::map<KernelKey, std::unique_ptr<Kernel>> kernels_;
  Queue queue_;  // waits, so that kernels outlive their work
};

}  // namespace
}  // namespace metal

std::string metal_absence() {
  return metal::pick_device().reason;
}

std::string metal_description() {
  const metal::AutoreleaseScope scope;
  const metal::DeviceOrReason picked = metal::pick_device();
  if (picked.device == nullptr) return {};
  return fmt::format("{} ({} cores, {:.1f} GB for the GPU)", metal::text_of(picked.device->name()),
                     metal::gpu_cores(),
                     static_cast<double>(picked.device->recommendedMaxWorkingSetSize()) * 1e-9);
}

std::unique_ptr<Device> make_metal_device() {
  const metal::AutoreleaseScope scope;
  metal::DeviceOrReason picked = metal::pick_device();
  if (picked.device == nullptr) fail("metal: {}", picked.reason);
  std::string name = metal::text_of(picked.device->name());
  return std::make_unique<metal::MetalDevice>(std::move(picked.device), std::move(name));
}

}  // namespace lattice::gpu
