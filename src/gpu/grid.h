#pragma once

#include <cstdint>

namespace lattice::gpu {

inline constexpr std::uint32_t kSimdWidth = 32;  ///< threads of a simdgroup, on every device

/// A dimension as kernels take it. Config has bounds that make every one of them fit.
[[nodiscard]] constexpr std::uint32_t narrow(std::int64_t value) noexcept {
  return static_cast<std::uint32_t>(value);
}

/// Groups of b that hold a.
[[nodiscard]] constexpr std::uint32_t ceil_div(std::uint32_t a, std::uint32_t b) noexcept {
  return (a + b - 1) / b;
}

}  // namespace lattice::gpu
