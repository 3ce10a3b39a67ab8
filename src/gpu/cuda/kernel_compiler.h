#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gpu/cuda/cubin_cache.h"
#include "gpu/device.h"

namespace lattice::gpu::cuda {

/// A kernel for one architecture, its function constants fixed.
struct CompiledKernel {
  std::string image;       ///< a cubin, or PTX for devices newer than the compiler; ends with a zero byte
  bool waits = false;      ///< it calls lattice_wait_for_inputs(), so that it may start early
  bool is_cached = false;  ///< came from the disk
};

/// What to compile: one kernel of a file that emit_cuda() wrote.
struct KernelSource {
  std::string_view file;   ///< the text
  std::size_t kernel = 0;  ///< its place in the file
  std::span<const FunctionConstant> constants;
};

/// "10.0" as major and minor.
struct Capability {
  int major = 0;
  int minor = 0;
};

struct Nvrtc;

/// NVIDIA's run-time compiler, with what it made kept on disk.
class KernelCompiler {
 public:
  /// Throws Error where NVRTC is not installed or too old. `driver_version` is part of what tells cached
  /// kernels apart.
  KernelCompiler(Capability capability, int driver_version, CubinCache cache);

  /// Throws Error with the compiler's first messages where the kernel does not compile.
  [[nodiscard]] CompiledKernel compile(const KernelSource& source) const;

 private:
  [[nodiscard]] std::string key_of(const KernelSource& source, std::span<const std::string> options) const;

  const Nvrtc& nvrtc_;
  bool native_;  // NVRTC knows the architecture; otherwise the driver compiles PTX
  std::string architecture_;
  std::string versions_;
  CubinCache cache_;
};

/// Why NVRTC cannot be used, in words that follow "cuda: "; empty where it can.
[[nodiscard]] const std::string& nvrtc_absence();

}  // namespace lattice::gpu::cuda
