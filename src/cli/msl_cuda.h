#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "cli/msl_bindings.h"
#include "msl/module.h"
#include "msl/soft/dispatch.h"
#include "msl/soft/soft_module.h"

// `lattice msl run --device cuda`.

namespace lattice::cli {

/// How long a dispatch took, over and over.
struct KernelTimes {
  double median = 0;  ///< seconds
  double minimum = 0;
  double maximum = 0;
  int replays = 0;              ///< that were timed
  std::size_t dispatches = 0;   ///< of a replay
  std::size_t buffer_sets = 0;  ///< that the dispatches took in turn
  std::size_t bytes = 0;  ///< of one set: what a dispatch must move that reads or writes every buffer once
};

/// Runs a kernel on the NVIDIA device, and leaves its results in `buffers`. `launch` has the grid and the
/// threadgroup memory. With `replays` > 0 it is then timed as well. Throws Error where there is no such
/// device or the kernel does not compile, Error(kUsage) for what the device does not take.
[[nodiscard]] std::optional<KernelTimes> run_on_cuda(const msl::Module& module, std::string_view kernel,
                                                     const msl::Launch& launch,
                                                     std::span<const msl::ConstantValue> constants,
                                                     std::vector<KernelBuffer>& buffers, int replays);

/// "5.31 µs (4.98 to 5.60, 20 replays of 64 dispatches over 64 sets of buffers), 1.18 MB of buffers: 222
/// GB/s"
[[nodiscard]] std::string times_line(const KernelTimes& times);
[[nodiscard]] nlohmann::ordered_json times_json(const KernelTimes& times);

}  // namespace lattice::cli
