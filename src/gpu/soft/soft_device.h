#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gpu/device.h"
#include "gpu/kernel_table.h"
#include "msl/soft/finding.h"
#include "msl/soft/soft_module.h"
#include "support/thread_pool.h"

namespace lattice::gpu {

/// The device in software: every GPU thread a fiber, threadgroups spread over the processor's cores. It
/// exists to test the kernels and what calls them where there is no GPU. Work runs when it is submitted.
class SoftDevice final : public Device {
 public:
  /// With the kernels that are compiled into the program. 0 threads: one a core. `like_cuda`: with a library
  /// of matrix products, and kernels that multiply bytes and halves as it does, for tests of what comes with
  /// them.
  explicit SoftDevice(int threads = 0, bool like_cuda = false);
  /// In checking mode: compiles the .metal files of `kernels` with the host compiler, watches every access,
  /// and runs each dispatch in `orders` orders of threads. For tests of the kernels: some thousand times
  /// slower, and it needs the sources and a compiler.
  SoftDevice(const std::filesystem::path& kernels, int orders);

  ~SoftDevice() override;
  SoftDevice(const SoftDevice&) = delete;
  SoftDevice& operator=(const SoftDevice&) = delete;

  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::uint32_t cores() const noexcept override { return 0; }
  [[nodiscard]] std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  [[nodiscard]] const Kernel& kernel(std::string_view name,
                                     std::span<const FunctionConstant> constants) override;
  [[nodiscard]] std::unique_ptr<Commands> new_commands() override;
  [[nodiscard]] bool has_products() const noexcept override { return like_cuda_; }
  [[nodiscard]] bool multiplies_bytes() const noexcept override { return like_cuda_; }
  [[nodiscard]] bool multiplies_halves() const noexcept override { return like_cuda_; }
  void submit(const Commands& commands) override;
  void wait() override {}  // submit() has done it all

  /// What checking mode has found so far.
  [[nodiscard]] const std::vector<msl::Finding>& findings() const noexcept { return findings_; }
  /// Dispatches run so far.
  [[nodiscard]] std::size_t dispatches_run() const noexcept { return dispatches_run_; }

 private:
  struct File {
    msl::SoftModule module;
    std::vector<KernelSignature> signatures;
  };
  class SoftKernel;
  class SoftCommands;
  struct Dispatch;
  using KernelKey = std::pair<std::string, std::vector<std::pair<std::uint32_t, std::uint32_t>>>;

  void run(const Dispatch& dispatch);
  void run(const MatrixProduct& product);
  void check(const Dispatch& dispatch, const msl::Launch& launch);

  ThreadPool pool_;
  int orders_ = 0;  // 0: not in checking mode
  bool like_cuda_ = false;
  std::vector<std::unique_ptr<File>> files_;
  std::map<KernelKey, std::unique_ptr<SoftKernel>> kernels_;
  std::vector<msl::Finding> findings_;
  std::size_t dispatches_run_ = 0;
};

}  // namespace lattice::gpu
