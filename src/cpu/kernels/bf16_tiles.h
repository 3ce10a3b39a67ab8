// Products of BF16 weights with the vectors of a prompt, in tiles (amx_tiles.h). Included by files that are
// compiled for them, so everything is in an anonymous namespace.
//
// tdpbf16ps multiplies bfloat16 numbers and adds them up in float, flushing what is denormal. Activations in
// bfloat16 would move logits by 1e-2; so each is the sum of two (Kernels::split), whose products go to the
// same sums: as if activations were rounded to 2^-17 of themselves. Packed weights are tiles as they stand.
//
// Sums stay in tiles over kPanelBlocks blocks, and wait in y until the next: so that a panel's part of 128
// vectors, 512 KB, stays in the second-level cache while groups pass by.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/amx_tiles.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/prompt_products.h"

namespace lattice::cpu {
namespace {

/// Rounded to nearest, ties to even; what is no number stays none.
inline std::uint16_t to_bf16(float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<std::uint16_t>((is_nan ? bits | 0x400000u : rounded) >> 16);
}

/// Kernels::split. A value that rounds to infinity leaves an infinity, or no number, for its lower part.
inline void split(const float* values, std::int64_t blocks, std::uint16_t* parts) {
  for (std::int64_t b = 0; b < blocks; ++b, values += kBlock, parts += 2 * kTileTokens * kBlock) {
    for (std::int64_t i = 0; i < kBlock; ++i) {
      const std::uint16_t upper = to_bf16(values[i]);
      parts[i] = upper;
      parts[kTileTokens * kBlock + i] =
          to_bf16(values[i] - __builtin_bit_cast(float, static_cast<std::uint32_t>(upper) << 16));
    }
  }
}

/// The part of the columns of one group of rows, or of two, that stands in the sums' tiles.
struct Bf16Panel {
  static constexpr int kWords = 16;  // of two columns, in a block
  static constexpr std::int64_t kBlockBytes = kWords * kTileRowBytes;
  static constexpr std::int64_t kMostBlocks = 32;

  const std::byte* words[2] = {};  // of each group
  std::int64_t groups;
  std::int64_t blocks;
  bool goes_on;  // there are sums of the columns before

  Bf16Panel(const PackedRows& weights, std::int64_t group, std::int64_t last, std::int64_t block)
      : groups(smaller(last - group, 2)),
        blocks(smaller(weights.blocks - block, kMostBlocks)),
        goes_on(block != 0) {
    for (std::int64_t g = 0; g < groups; ++g)
      words[g] = weights.quants + ((group + g) * weights.blocks + block) * kBlockBytes;
  }

  /// What follows: the next two groups' part of the same columns, of `left` groups that this one begins.
  [[nodiscard]] WeightsAhead next(const PackedRows& weights, std::int64_t left, std::int64_t portions) const {
    const std::int64_t group_bytes = weights.blocks * kBlockBytes;
    if (left <= 2) return {words[0], 0, 0, group_bytes, portions};
    return {words[0] + 2 * group_bytes, blocks * kBlockBytes, smaller(left - 2, 2), group_bytes, portions};
  }
};

/// Tiles 0 … 3: sums of a tile of tokens with a group, [kTokenTiles][2]; 4, 5: a block of the groups; 6, 7:
/// of the tokens, from x[0] and from x[kTileTokens] on. Sums [tokens][rows] are `stride` apart.
template <int kTokenTiles, int kGroups>
void multiply_bf16(const Bf16Panel& panel, const std::uint16_t* const* x, WeightsAhead& ahead, float* sums,
                   std::int64_t stride) {
  const std::int64_t row = stride * static_cast<std::int64_t>(sizeof(float));
  float* const below = sums + kTileTokens * stride;
  if (panel.goes_on) {
    _tile_loadd(0, sums, row);
    if constexpr (kGroups == 2) _tile_loadd(1, sums + kGroupRows, row);
    if constexpr (kTokenTiles == 2) _tile_loadd(2, below, row);
    if constexpr (kTokenTiles == 2 && kGroups == 2) _tile_loadd(3, below + kGroupRows, row);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::int64_t b = 0; b < panel.blocks; ++b) {
    ahead.ask();
    _tile_loadd(4, panel.words[0] + b * Bf16Panel::kBlockBytes, kTileRowBytes);
    if constexpr (kGroups == 2) _tile_loadd(5, panel.words[1] + b * Bf16Panel::kBlockBytes, kTileRowBytes);
    unrolled<2>([&](auto part) LATTICE_INLINE {
      const std::int64_t at = (2 * b + decltype(part)::value) * kTileTokens * kBlock;
      _tile_loadd(6, x[0] + at, kTileRowBytes);
      _tile_dpbf16ps(0, 6, 4);
      if constexpr (kGroups == 2) _tile_dpbf16ps(1, 6, 5);
      if constexpr (kTokenTiles == 2) {
        _tile_loadd(7, x[1] + at, kTileRowBytes);
        _tile_dpbf16ps(2, 7, 4);
        if constexpr (kGroups == 2) _tile_dpbf16ps(3, 7, 5);
      }
    });
  }
  _tile_stored(0, sums, row);
  if constexpr (kGroups == 2) _tile_stored(1, sums + kGroupRows, row);
  if constexpr (kTokenTiles == 2) _tile_stored(2, below, row);
  if constexpr (kTokenTiles == 2 && kGroups == 2) _tile_stored(3, below + kGroupRows, row);
}

/// Whole tiles of `tokens` vectors; y as they are, sums in it if panel.goes_on.
inline void multiply_bf16_tiles(const Bf16Panel& panel, const Activation* x, std::int64_t block,
                                std::int64_t token_tiles, WeightsAhead& ahead, float* sums,
                                std::int64_t stride) {
  const std::int64_t at = block * 2 * kTileTokens * kBlock;
  const std::uint16_t* const parts[2] = {x[0].parts + at,
                                         token_tiles == 2 ? x[kTileTokens].parts + at : nullptr};
  const auto multiply = token_tiles == 2 ? (panel.groups == 2 ? multiply_bf16<2, 2> : multiply_bf16<2, 1>)
                                         : (panel.groups == 2 ? multiply_bf16<1, 2> : multiply_bf16<1, 1>);
  multiply(panel, parts, ahead, sums, stride);
}

/// The same for sums that are not whole tiles, `tokens` by `rows`: y has no room for more.
inline void multiply_bf16_edge(const Bf16Panel& panel, const Activation* x, std::int64_t block,
                               std::int64_t tokens, std::int64_t rows, WeightsAhead& ahead, float* y,
                               std::int64_t stride) {
  alignas(64) float sums[2 * kTileTokens][2 * kGroupRows];
  const std::size_t bytes = static_cast<std::size_t>(rows) * sizeof(float);
  if (panel.goes_on) {
    for (std::int64_t t = 0; t < tokens; ++t) std::memcpy(sums[t], y + t * stride, bytes);
  }
  in_memory(sums);
  multiply_bf16_tiles(panel, x, block, tokens > kTileTokens ? 2 : 1, ahead, sums[0], 2 * kGroupRows);
  for (std::int64_t t = 0; t < tokens; ++t) std::memcpy(y + t * stride, sums[t], bytes);
}

/// The Product (kernels.h) of more than kStepTokens vectors.
inline void bf16_prompt_product(const PackedRows& weights, std::int64_t first, std::int64_t last,
                                const Activation* x, std::int64_t tokens, float* y, std::int64_t stride) {
  constexpr std::int64_t kTokens = 2 * kTileTokens;
  const TilesInUse tiles(Bf16Panel::kWords);
  for (std::int64_t block = 0; block < weights.blocks; block += Bf16Panel::kMostBlocks) {
    for (std::int64_t group = first; group < last; group += 2) {
      const Bf16Panel panel(weights, group, last, block);
      WeightsAhead ahead = panel.next(weights, last - group, (tokens + kTokens - 1) / kTokens * panel.blocks);
      const std::int64_t rows = smaller(weights.rows - group * kGroupRows, panel.groups * kGroupRows);
      for (std::int64_t t = 0; t < tokens; t += kTokens) {
        const std::int64_t count = smaller(tokens - t, kTokens);
        float* sums = y + t * stride + group * kGroupRows;
        if (rows == panel.groups * kGroupRows && count % kTileTokens == 0) {
          multiply_bf16_tiles(panel, x + t, block, count / kTileTokens, ahead, sums, stride);
        } else {
          multiply_bf16_edge(panel, x + t, block, count, rows, ahead, sums, stride);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lattice::cpu
