#pragma once

#include <cstddef>
#include <cstdint>

namespace lattice::cpu {

/// Asks for the lines that hold `bytes` bytes from `from` on, so that they are in the second-level cache when
/// they are read. They may lie beyond what was allocated.
inline void ask_for_lines(const std::byte* from, std::int64_t bytes) noexcept {
  constexpr std::int64_t kLine = 64;
  for (std::int64_t i = 0; i < bytes; i += kLine) __builtin_prefetch(from + i, 0, 2);
}

}  // namespace lattice::cpu
