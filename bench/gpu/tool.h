#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "bench/statistics.h"
#include "gpu/decode_step.h"
#include "gpu/device.h"

// What the programs of this folder share.

namespace lattice::gpu {

/// The device called "metal" (on a Mac), "cuda" or "soft". Throws Error(kUsage) for another name, Error where
/// this machine has none.
[[nodiscard]] std::unique_ptr<Device> open_device(std::string_view name);
/// The one to ask for where none is named: the GPU that such a machine has.
[[nodiscard]] std::string_view default_device() noexcept;

/// Of a sample's replays; the warm-up takes the least.
struct ReplayLimits {
  int least = 1;
  int most = 1000;
};

/// Seconds of one replay of `commands` in each of `runs` samples; one more comes first and warms up. A sample
/// is as many replays as take some milliseconds, queued and waited for together, so that the host does not
/// show. `prepare`, where there is one, is called before each sample.
[[nodiscard]] bench::Samples time_replays(Device& device, const Commands& commands, int runs,
                                          const std::function<void()>& prepare = nullptr,
                                          const ReplayLimits& limits = {});

/// Memory of random bits, none of which make a float that is infinite or no number.
[[nodiscard]] std::unique_ptr<Buffer> random_buffer(Device& device, std::size_t bytes, std::uint64_t seed);

/// Bytes that a product with a matrix reads.
[[nodiscard]] std::size_t matrix_bytes(const DeviceMatrix& matrix) noexcept;

[[nodiscard]] std::string text(const GemvShape& shape);

/// What main() returns: `body`'s result, or 2 for wrong usage and 1 for other errors, which it prints in a
/// sentence.
[[nodiscard]] int run_tool(const char* name, const std::function<int()>& body);

}  // namespace lattice::gpu
