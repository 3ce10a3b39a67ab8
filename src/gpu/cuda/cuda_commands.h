#pragma once

#include <variant>
#include <vector>

#include "gpu/cuda/cuda_device.h"
#include "gpu/kernel_table.h"
#include "msl/soft/dispatch.h"

namespace lattice::gpu::cuda {

class CudaBuffer final : public Buffer {
 public:
  CudaBuffer(const Session& session, std::size_t bytes);
  ~CudaBuffer() override;
  CudaBuffer(const CudaBuffer&) = delete;
  CudaBuffer& operator=(const CudaBuffer&) = delete;

  void upload(std::size_t offset, std::span<const std::byte> from) override;
  void download(std::size_t offset, std::span<std::byte> to) const override;
  void clear() override;
  [[nodiscard]] DevicePointer address() const noexcept { return address_; }
  void check_download(std::size_t offset, std::size_t length) const { check_range(offset, length); }

 private:
  const Session& session_;
  DevicePointer address_ = 0;
};

class CudaKernel final : public Kernel {
 public:
  CudaKernel(const Session& session, const CompiledKernel& compiled, std::size_t place,
             const KernelSignature& signature, const soft::KernelInfo& info);
  ~CudaKernel() override;
  CudaKernel(const CudaKernel&) = delete;
  CudaKernel& operator=(const CudaKernel&) = delete;

  [[nodiscard]] std::string_view name() const noexcept override { return signature_.name; }
  [[nodiscard]] const KernelSignature& signature() const noexcept { return signature_; }
  [[nodiscard]] const soft::KernelInfo& info() const noexcept { return info_; }
  [[nodiscard]] Function function() const noexcept { return function_; }
  [[nodiscard]] bool waits() const noexcept { return waits_; }
  /// Of a threadgroup, as the compiled code's registers have it.
  [[nodiscard]] std::uint32_t max_threads() const noexcept { return max_threads_; }

 private:
  const Session& session_;
  const KernelSignature& signature_;
  const soft::KernelInfo& info_;
  bool waits_;
  Module module_ = nullptr;
  Function function_ = nullptr;
  std::uint32_t max_threads_ = 0;
};

class MatrixLibrary;

/// A CUDA graph. Dispatches between two barriers are its levels: each depends on all of the level before.
class CudaCommands final : public Commands {
 public:
  /// `library` makes the products; null: there are none.
  CudaCommands(const Session& session, MatrixLibrary* library) : session_(session), library_(library) {}
  ~CudaCommands() override;
  CudaCommands(const CudaCommands&) = delete;
  CudaCommands& operator=(const CudaCommands&) = delete;

  void dispatch(const Kernel& kernel, std::vector<Argument> arguments, Extent threadgroups,
                std::uint32_t threads_per_threadgroup) override;
  void product(const MatrixProduct& product) override;
  void barrier() override;
  [[nodiscard]] std::size_t dispatches() const noexcept override { return nodes_.size(); }
  /// Makes the graph when it is first called.
  void launch() const;

 private:
  struct Dispatch {
    const CudaKernel* kernel;
    std::vector<Argument> arguments;
    msl::Grid grid;
  };
  struct Node {
    std::variant<Dispatch, MatrixProduct> work;
    std::size_t level;
    [[nodiscard]] bool waits() const noexcept {
      const auto* dispatch = std::get_if<Dispatch>(&work);
      return dispatch != nullptr && dispatch->kernel->waits();
    }
    [[nodiscard]] bool is_product() const noexcept { return std::holds_alternative<MatrixProduct>(work); }
  };
  void append(std::variant<Dispatch, MatrixProduct> work);
  /// Null where the driver does not take it.
  [[nodiscard]] GraphExec instantiate(const Driver& driver, bool programmatic) const;
  [[nodiscard]] GraphNode add(const Driver& driver, Graph graph, const Dispatch& dispatch) const;
  [[nodiscard]] GraphNode add(const Driver& driver, Graph graph, const MatrixProduct& product) const;

  const Session& session_;
  MatrixLibrary* library_;
  std::vector<Node> nodes_;
  std::size_t level_ = 0;
  mutable GraphExec exec_ = nullptr;
};

}  // namespace lattice::gpu::cuda
