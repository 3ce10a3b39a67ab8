#include "probe.h"

#include <chrono>

#include "quant/dtype.h"
#include "quant/linear_row.h"

namespace lattice::gpu {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

bench::Samples Probe::time(const Commands& commands) {
  constexpr int kRuns = 9;
  const auto start = Clock::now();
  while (!warm_ && !quick && seconds_since(start) < 1.0) (void)time_replays(*device, commands, 1);
  warm_ = true;
  return time_replays(*device, commands, quick ? 1 : kRuns);
}

DeviceMatrix Probe::matrix(DType format, std::uint32_t rows, std::uint32_t cols, std::uint64_t seed) {
  DeviceMatrix out = shaped_matrix(format, rows, cols, /*tiled=*/false);
  out.quants = random(std::size_t{16} * rows * out.row_chunks, seed);
  if (has_block_scales(format)) out.scales = random(std::size_t{2} * rows * out.row_blocks, seed + 1);
  return out;
}

}  // namespace lattice::gpu
