#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gpu/cuda/driver.h"
#include "gpu/cuda/kernel_compiler.h"
#include "gpu/device.h"

namespace lattice::gpu {

/// Why this machine cannot run kernels on an NVIDIA device, in words for people; empty where it can.
[[nodiscard]] std::string cuda_absence();
/// "NVIDIA H100 80GB HBM3 (compute capability 9.0, 85.0 GB)": the device that CudaDevice takes. Empty where
/// there is none.
[[nodiscard]] std::string cuda_description();

namespace cuda {

/// The device's context, current to whichever thread calls, and the one stream that all work goes through.
class Session {
 public:
  Session(const Driver& driver, DeviceOrdinal device);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// The driver, with this context current to the calling thread. Throws Error where that fails.
  [[nodiscard]] const Driver& use() const {
    check(driver_, driver_.context_set(context_), "taking the device");
    return driver_;
  }
  [[nodiscard]] Stream stream() const noexcept { return stream_; }
  void wait() const { check(use(), driver_.stream_synchronize(stream_), "running the kernels"); }

  void make_current() const noexcept;

  // What owners' destructors call: done as far as the device still answers. Memory goes when work that may
  // use it is done.
  void release(DevicePointer memory) const noexcept;
  void unload(Module module) const noexcept;
  void destroy(GraphExec exec) const noexcept;

 private:
  const Driver& driver_;
  DeviceOrdinal device_;
  Context context_ = nullptr;
  Stream stream_ = nullptr;
};

class MatrixLibrary;

}  // namespace cuda

/// The first NVIDIA device that the process may use. Kernels are compiled when they are first asked for, and
/// kept on disk.
class CudaDevice final : public Device {
 public:
  /// Throws Error saying what is missing, as cuda_absence() does.
  CudaDevice();
  ~CudaDevice() override;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::uint32_t cores() const noexcept override { return cores_; }
  [[nodiscard]] std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  [[nodiscard]] const Kernel& kernel(std::string_view name,
                                     std::span<const FunctionConstant> constants) override;
  [[nodiscard]] std::unique_ptr<Commands> new_commands() override;
  [[nodiscard]] bool has_products() const noexcept override { return library_ != nullptr; }
  [[nodiscard]] bool multiplies_bytes() const noexcept override { return true; }
  [[nodiscard]] bool multiplies_halves() const noexcept override { return true; }
  void submit(const Commands& commands) override;
  void wait() override { session_.wait(); }
  [[nodiscard]] Mark mark() override;
  void download_at(Mark mark, const Buffer& from, std::size_t offset, std::span<std::byte> to) override;
  [[nodiscard]] double measure_copy_bandwidth() override;

  // For kernels that are not the engine's own.
  [[nodiscard]] const cuda::Session& session() const noexcept { return session_; }
  [[nodiscard]] const cuda::KernelCompiler& compiler() const noexcept { return compiler_; }

 private:
  using KernelKey = std::pair<std::string, std::vector<std::pair<std::uint32_t, std::uint32_t>>>;

  const cuda::Driver& driver_;
  std::string name_;
  std::uint32_t cores_ = 0;
  cuda::KernelCompiler compiler_;
  cuda::Session session_;
  static constexpr std::size_t kMarks = 64;
  std::array<cuda::Event, kMarks> marks_{};  // of mark n at n % kMarks
  Mark next_mark_ = 0;
  cuda::Stream side_stream_ = nullptr;  // for downloads that do not wait for all that was submitted
  std::map<KernelKey, std::unique_ptr<Kernel>> kernels_;
  std::unique_ptr<cuda::MatrixLibrary> library_;  // null where it is not installed
};

}  // namespace lattice::gpu
