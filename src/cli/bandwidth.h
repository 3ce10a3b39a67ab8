#pragma once

#include <optional>

namespace lattice::cli {

/// Bytes a second that this machine's memory gives to `threads` threads, measured now (a third of a second);
/// nothing where there is no memory to measure with.
[[nodiscard]] std::optional<double> measured_bandwidth(int threads);

}  // namespace lattice::cli
