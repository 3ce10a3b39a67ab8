#include "probe.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "quant/dtype.h"
#include "support/random.h"

namespace lattice::gpu {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Timing Probe::time(const Commands& commands) {
  constexpr int kRuns = 9;
  constexpr double kRunSeconds = 0.01;
  const auto run = [&](int replays) {
    const auto start = Clock::now();
    for (int i = 0; i < replays; ++i) device->submit(commands);
    device->wait();
    return seconds_since(start) / replays;
  };
  double once = run(1);
  const auto start = Clock::now();
  while (!warm_ && !quick && seconds_since(start) < 1.0) once = run(4);
  warm_ = true;
  const int replays = quick ? 1 : std::clamp(static_cast<int>(kRunSeconds / once), 1, 100);
  std::vector<double> seconds;
  for (int i = 0; i < (quick ? 1 : kRuns); ++i) seconds.push_back(run(replays));
  std::ranges::sort(seconds);
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
}

std::unique_ptr<Buffer> Probe::random(std::size_t bytes, std::uint64_t seed) {
  std::vector<std::uint16_t> words((bytes + 1) / 2);
  for (std::size_t i = 0; i < words.size(); ++i) {
    // As half, bfloat or the upper half of a float: below 2 in magnitude.
    words[i] = static_cast<std::uint16_t>(random_bits(seed, i) & 0xbbffu);
  }
  auto out = device->allocate(bytes);
  out->upload(0, std::as_bytes(std::span(words)).first(bytes));
  return out;
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

std::size_t matrix_bytes(const DeviceMatrix& matrix) noexcept {
  return matrix.quants->bytes() + (matrix.scales == nullptr ? 0 : matrix.scales->bytes());
}

}  // namespace lattice::gpu
