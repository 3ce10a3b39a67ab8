#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpu/cuda/cuda_commands.h"
#include "gpu/cuda/cuda_device.h"
#include "gpu/device.h"
#include "msl/module.h"
#include "msl/soft/dispatch.h"

namespace lattice::gpu {

/// One dispatch of a kernel of any translated module.
struct ModuleLaunch {
  std::size_t kernel = 0;                                            ///< its place in Module::kernels
  msl::Grid grid;                                                    ///< of whole threadgroups
  std::array<std::uint32_t, msl::kBindings> threadgroup_bytes = {};  ///< of [[threadgroup(n)]]
  std::vector<FunctionConstant> constants;
  std::array<std::span<std::byte>, msl::kBindings> buffers = {};  ///< empty: not bound
};

struct DispatchTimes {
  std::vector<double> seconds;  ///< of one dispatch, from one replay each, rising
  std::size_t dispatches = 0;   ///< of a replay
  std::size_t buffer_sets = 0;  ///< copies of all buffers that the dispatches take in turn
};

/// A module's kernel on an NVIDIA device: what `lattice msl run` uses. Kernels of the engine go by Commands.
class ModuleRunner {
 public:
  /// Compiles. What `launch` refers to must outlive this. Throws Error(kUsage) for a grid that is not of
  /// whole threadgroups or that the device does not take, Error where the kernel does not compile.
  ModuleRunner(CudaDevice& device, const msl::Module& module, const ModuleLaunch& launch);
  ~ModuleRunner();
  ModuleRunner(const ModuleRunner&) = delete;
  ModuleRunner& operator=(const ModuleRunner&) = delete;

  /// Runs the dispatch and copies all buffers back to the launch's.
  void run();
  /// Times dispatches that follow one another, over so many copies of the buffers that the second-level cache
  /// holds none of them from one turn to the next, by the device's own clock. The results are thrown away.
  [[nodiscard]] DispatchTimes time(int replays);

 private:
  using BufferSet = std::array<std::unique_ptr<cuda::CudaBuffer>, msl::kBindings>;

  [[nodiscard]] BufferSet upload() const;
  /// A graph of `count` dispatches in a row, which take the sets in turn.
  [[nodiscard]] cuda::GraphExec record(const std::vector<BufferSet>& sets, std::size_t count) const;
  [[nodiscard]] cuda::GraphNode add(cuda::Graph graph, const BufferSet& set,
                                    const cuda::GraphNode* after) const;
  [[nodiscard]] std::size_t buffer_bytes() const noexcept;

  const cuda::Session& session_;
  const msl::KernelFunction& function_;
  const ModuleLaunch& launch_;
  std::array<std::vector<std::byte>, msl::kBindings> values_;  // of what goes by value, longer than any type
  cuda::Module module_ = nullptr;
  cuda::Function kernel_ = nullptr;
};

}  // namespace lattice::gpu
