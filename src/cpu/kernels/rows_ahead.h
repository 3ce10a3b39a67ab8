// Rows that are read side by side. Included by the files of instruction sets, so everything is in an
// anonymous namespace; S is the set's description (simd_*.h).
#pragma once

#include <cstdint>

namespace lattice::cpu {
namespace {

enum class Access { kRead, kWrite };

/// Asks for the tile after the next, as far as this one, of kRows rows of `row` numbers from `rows` on, has
/// got: to `column`, a register of each row at a time. In rows that are read side by side processors see no
/// stream: without this a Zen 3 core reads half as fast.
template <typename S, int kRows, Access kAccess, typename T>
void ask_for_tile_to_come(const T* rows, std::int64_t row, std::int64_t column) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  const T* from = rows + (2 * row + column) * kRows;
  for (std::int64_t j = 0; j < S::kLanes * kRows; j += kLine)
    __builtin_prefetch(from + j, kAccess == Access::kWrite ? 1 : 0);
}

}  // namespace
}  // namespace lattice::cpu
