// AMX, Intel's tile instructions: eight registers of up to sixteen rows of 64 bytes, and products of two of
// them that are added to a third (Intel, "Architecture Instruction Set Extensions Programming Reference",
// chapter on AMX). Included by files that are compiled for them, so everything is in an anonymous namespace.
//
// Tokens are the rows of the first factor and weights the columns of the second, so that a product is what a
// Product (kernels.h) writes: sums [tokens][rows of the matrix]. A row of the second factor holds, for each
// of its columns, four bytes that meet the same four bytes of a token: which is how PackedRows lays a group's
// words out.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include "cpu/kernels/kernels.h"

namespace lattice::cpu {
namespace {

static_assert(kGroupRows == 16 && kTileTokens == 16, "a tile of sums has a token in a row");
constexpr std::int64_t kTileRowBytes = 64;

/// What is at `from` and has been computed stands in memory from here on: compilers do not know that tiles,
/// or all of their shapes, are loaded from there.
inline void in_memory(const void* from) {
  asm volatile("" : : "r"(from) : "memory");
}

/// While it lives, this thread's tiles are usable. Four of sums and the two of weights by two of tokens that
/// make them, which take all eight: see multiply() of those who use them. A thread that has let go of them
/// has no tiles for the system to save when it switches.
class TilesInUse {
 public:
  /// Factors share 4 · `words` bytes of columns.
  explicit TilesInUse(int words) {
    Shapes shapes;
    for (int tile = 0; tile < kTiles; ++tile) {
      const bool of_tokens = tile >= 6;
      const bool of_weights = tile == 4 || tile == 5;
      shapes.row_bytes[tile] = static_cast<std::uint16_t>(of_tokens ? 4 * words : kTileRowBytes);
      shapes.rows[tile] = static_cast<std::uint8_t>(of_weights ? words : kTileTokens);
    }
    in_memory(&shapes);
    _tile_loadconfig(&shapes);
  }
  ~TilesInUse() { _tile_release(); }
  TilesInUse(const TilesInUse&) = delete;
  TilesInUse& operator=(const TilesInUse&) = delete;

 private:
  static constexpr int kTiles = 8;
  /// What ldtilecfg loads.
  struct alignas(64) Shapes {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
  };
  static_assert(sizeof(Shapes) == 64);
};

}  // namespace
}  // namespace lattice::cpu
