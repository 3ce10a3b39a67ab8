#pragma once

#include <cstddef>

namespace lattice {

/// The whole numbers of a sub-block of Q4_K or Q5_K: w = d · scale · q − dmin · min.
struct KScale {
  int scale;
  int min;
};

/// Those of sub-block `j` out of the 12 bytes that hold eight of each in 6 bits (ggml-org/ggml
/// src/ggml-quants.c, get_scale_min_k4).
[[nodiscard]] constexpr KScale k_scale(const std::byte* s, int j) noexcept {
  const auto at = [s](int i) { return static_cast<int>(s[i]); };
  if (j < 4) return {at(j) & 63, at(j + 4) & 63};
  return {(at(j + 4) & 15) | ((at(j - 4) >> 6) << 4), (at(j + 4) >> 4) | ((at(j) >> 6) << 4)};
}

}  // namespace lattice
