#include "tool.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "gpu/cuda/cuda_device.h"
#if LATTICE_HAS_METAL
#include "gpu/metal/metal_device.h"
#endif
#include "gpu/soft/soft_device.h"
#include "support/fail.h"
#include "support/printable.h"
#include "support/random.h"

namespace lattice::gpu {

std::unique_ptr<Device> open_device(std::string_view name) {
  if (name == "soft") return std::make_unique<SoftDevice>();
  if (name == "cuda") return std::make_unique<CudaDevice>();
#if LATTICE_HAS_METAL
  if (name == "metal") return make_metal_device();
#endif
  fail_usage("{} is no GPU that this program was built for: metal on a Mac, cuda, soft", printable(name));
}

std::string_view default_device() noexcept {
#if LATTICE_HAS_METAL
  return "metal";
#else
  return "cuda";
#endif
}

bench::Samples time_replays(Device& device, const Commands& commands, int runs,
                            const std::function<void()>& prepare, const ReplayLimits& limits) {
  using Clock = std::chrono::steady_clock;
  constexpr double kSampleSeconds = 0.01;
  bench::Samples out;
  int replays = limits.least;
  for (int i = 0; i <= runs; ++i) {
    if (prepare) prepare();
    const auto start = Clock::now();
    for (int r = 0; r < replays; ++r) device.submit(commands);
    device.wait();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count() / replays;
    if (i > 0) out.values.push_back(seconds);
    replays = std::clamp(static_cast<int>(kSampleSeconds / seconds), limits.least, limits.most);
  }
  return out;
}

std::unique_ptr<Buffer> random_buffer(Device& device, std::size_t bytes, std::uint64_t seed) {
  std::vector<std::uint16_t> words((bytes + 1) / 2);
  for (std::size_t i = 0; i < words.size(); ++i) {
    // As half, bfloat or the upper half of a float: below 2 in magnitude.
    words[i] = static_cast<std::uint16_t>(random_bits(seed, i) & 0xbbffu);
  }
  auto out = device.allocate(bytes);
  out->upload(0, std::as_bytes(std::span(words)).first(bytes));
  return out;
}

std::size_t matrix_bytes(const DeviceMatrix& matrix) noexcept {
  return matrix.quants->bytes() + (matrix.scales == nullptr ? 0 : matrix.scales->bytes());
}

std::string text(const GemvShape& shape) {
  return fmt::format("rows {} split {} simdgroups {} unroll {} ahead {} bytes {} planes {} resident {}",
                     shape.rows, shape.split, shape.simdgroups, shape.unroll, shape.ahead, shape.bytes,
                     shape.planes, shape.resident);
}

int run_tool(const char* name, const std::function<int()>& body) {
  try {
    return body();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return error.kind() == Error::Kind::kUsage ? 2 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace lattice::gpu
