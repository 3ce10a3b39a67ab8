#include "cli/msl_cuda.h"

#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

#include "cli/units.h"
#include "gpu/cuda/module_launch.h"
#include "support/fail.h"

namespace lattice::cli {
namespace {

/// CUDA's kernels take their function constants as text: whole numbers.
std::vector<gpu::FunctionConstant> whole_numbers(const msl::Module& module,
                                                 std::span<const msl::ConstantValue> constants) {
  std::vector<gpu::FunctionConstant> out;
  for (const msl::ConstantValue& constant : constants) {
    const auto declared = std::ranges::find_if(module.constants, [&](const msl::ConstantGlobal& c) {
      return c.function_constant == constant.index;
    });
    const bool is_float =
        declared != module.constants.end() && (declared->type.find("float") != std::string::npos ||
                                               declared->type.find("half") != std::string::npos);
    if (is_float || constant.bytes.size() > sizeof(std::uint32_t)) {
      fail_usage("--constant {}: on cuda function constants are whole numbers of at most 32 bits",
                 constant.index);
    }
    gpu::FunctionConstant value{constant.index, 0};
    std::memcpy(&value.value, constant.bytes.data(), constant.bytes.size());
    out.push_back(value);
  }
  return out;
}

}  // namespace

std::optional<KernelTimes> run_on_cuda(const msl::Module& module, std::string_view kernel,
                                       const msl::Launch& launch,
                                       std::span<const msl::ConstantValue> constants,
                                       std::vector<KernelBuffer>& buffers, int replays) {
  gpu::ModuleLaunch own;
  own.kernel = static_cast<std::size_t>(&module.kernel(kernel) - module.kernels.data());
  own.grid = launch.grid;
  own.threadgroup_bytes = launch.threadgroup_bytes;
  own.constants = whole_numbers(module, constants);
  KernelTimes times;
  for (KernelBuffer& buffer : buffers) {
    own.buffers[buffer.index] = buffer.data;
    times.bytes += buffer.data.size();
  }
  gpu::CudaDevice device;
  gpu::ModuleRunner runner(device, module, own);
  // Before what is written changes what is read; the timed runs begin with what the first one left.
  runner.run();
  if (replays == 0) return std::nullopt;
  const gpu::DispatchTimes measured = runner.time(replays);
  times.median = measured.seconds[measured.seconds.size() / 2];
  times.minimum = measured.seconds.front();
  times.maximum = measured.seconds.back();
  times.replays = replays;
  times.dispatches = measured.dispatches;
  times.buffer_sets = measured.buffer_sets;
  return times;
}

std::string times_line(const KernelTimes& times) {
  constexpr double kMicro = 1e6;
  return fmt::format(
      "{} µs ({} to {}; {} replays of {} dispatches over {} sets of buffers), {} of buffers: {}/s",
      format_figure(times.median * kMicro), format_figure(times.minimum * kMicro),
      format_figure(times.maximum * kMicro), times.replays, times.dispatches, times.buffer_sets,
      format_bytes(static_cast<double>(times.bytes)),
      format_bytes(static_cast<double>(times.bytes) / times.median));
}

nlohmann::ordered_json times_json(const KernelTimes& times) {
  return {{"seconds", {{"median", times.median}, {"minimum", times.minimum}, {"maximum", times.maximum}}},
          {"replays", times.replays},
          {"dispatches", times.dispatches},
          {"buffer_sets", times.buffer_sets},
          {"bytes", times.bytes},
          {"bytes_per_second", static_cast<double>(times.bytes) / times.median}};
}

}  // namespace lattice::cli
