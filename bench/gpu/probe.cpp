#include "probe.h"

#include <chrono>

#include "quant/dtype.h"

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
  DeviceMatrix out;
  out.format = format;
  out.rows = rows;
  out.cols = cols;
  out.row_chunks = (cols + chunk_cols(format) - 1) / chunk_cols(format);
  out.quants = random(std::size_t{16} * rows * out.row_chunks, seed);
  if (format == DType::kQ8_0 || format == DType::kQ4_0) {
    out.row_blocks = (cols + 31) / 32;
    out.scales = random(std::size_t{2} * rows * out.row_blocks, seed + 1);
  }
  return out;
}

}  // namespace lattice::gpu
