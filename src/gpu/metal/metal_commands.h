#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gpu/device.h"
#include "gpu/kernel_table.h"
#include "gpu/metal/metal_cpp.h"
#include "gpu/metal/queue.h"
#include "msl/soft/dispatch.h"

namespace lattice::gpu::metal {

/// Memory that processor and device share: the device's own, or pages of a mapped file.
class MetalBuffer final : public Buffer {
 public:
  MetalBuffer(Queue& queue, Owned<MTL::Buffer> buffer, std::size_t bytes);
  /// Of memory that is wrapped: `first` is where it begins in the buffer. Nobody writes to it.
  MetalBuffer(Queue& queue, Owned<MTL::Buffer> pages, std::size_t first, std::size_t bytes);
  ~MetalBuffer() override;
  MetalBuffer(const MetalBuffer&) = delete;
  MetalBuffer& operator=(const MetalBuffer&) = delete;

  void upload(std::size_t offset, std::span<const std::byte> from) override;
  void download(std::size_t offset, std::span<std::byte> to) const override;
  void clear() override;
  /// What is there now, without waiting for anything.
  void read(std::size_t offset, std::span<std::byte> to) const;

  [[nodiscard]] const MTL::Buffer& buffer() const noexcept { return *buffer_; }
  [[nodiscard]] std::size_t first() const noexcept { return first_; }

 private:
  void check_writable() const;
  [[nodiscard]] std::byte* data() const noexcept;

  Queue& queue_;
  Owned<MTL::Buffer> buffer_;
  std::size_t first_ = 0;
  bool is_wrapped_ = false;
};

class MetalKernel final : public Kernel {
 public:
  MetalKernel(Owned<MTL::ComputePipelineState> pipeline, const KernelSignature& signature,
              const soft::KernelInfo& info)
      : pipeline_(std::move(pipeline)), signature_(signature), info_(info) {}

  [[nodiscard]] std::string_view name() const noexcept override { return signature_.name; }
  [[nodiscard]] const KernelSignature& signature() const noexcept { return signature_; }
  [[nodiscard]] const soft::KernelInfo& info() const noexcept { return info_; }
  [[nodiscard]] const MTL::ComputePipelineState& pipeline() const noexcept { return *pipeline_; }
  /// Of a threadgroup, as the compiled code's registers have it.
  [[nodiscard]] std::uint32_t max_threads() const {
    return static_cast<std::uint32_t>(pipeline_->maxTotalThreadsPerThreadgroup());
  }

 private:
  Owned<MTL::ComputePipelineState> pipeline_;
  const KernelSignature& signature_;
  const soft::KernelInfo& info_;
};

/// A list that is encoded again for every replay.
class MetalCommands final : public Commands {
 public:
  void dispatch(const Kernel& kernel, std::vector<Argument> arguments, Extent threadgroups,
                std::uint32_t threads_per_threadgroup) override;
  void barrier() override;
  [[nodiscard]] std::size_t dispatches() const noexcept override { return list_.size(); }
  /// Appends all of it to an encoder, with a barrier wherever one was recorded between two dispatches.
  void encode(MTL::ComputeCommandEncoder& encoder) const;

 private:
  struct Dispatch {
    const MetalKernel* kernel;
    std::vector<Argument> arguments;
    msl::Grid grid;
    bool waits;  // for all that comes before
  };

  std::vector<Dispatch> list_;
  bool next_waits_ = false;
};

}  // namespace lattice::gpu::metal
