// Matrix products with the vectors of a prompt, once for every vector instruction set. Included by the files
// of instruction sets, so everything is in an anonymous namespace; S is the set's description (simd_*.h).
//
// A part of a group's columns, a panel, is unpacked once for up to kPanelTokens vectors into what the tiles
// multiply, and stays in the first-level cache while they do. That is the packing of Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34, 2008), of the one operand that is not
// stored as it is multiplied. A tile is all rows of the group by some tokens; its sums go on from panel to
// panel in memory.
//
// A Panel has
//   kBlocks                blocks of 32 columns that it holds at most
//   kBlockBytes            what a block of a group takes where it comes from, without scales
//   kTokens                tokens of its largest tile
//   unpack(…)              fills it with `count` blocks of a group from block `first` on
//   multiply<kTokens>(…)   adds their products with a tile's tokens to sums [tokens][kGroupRows]
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/weight_codes.h"

namespace lattice::cpu {
namespace {

constexpr std::int64_t kPanelTokens = 128;
constexpr std::int64_t kPanelGroups = 4;
/// Half of a first-level cache of 32 KiB: the other half is for scales, and for the vectors that pass by.
constexpr std::int64_t kPanelBytes = 16384;

/// std::min, but of this file alone: a copy of a library's function, compiled with the set's flags, might be
/// the one that the linker keeps for all.
constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

/// A panel of weights that are multiplied as floats. Block: what product_kernels.h reads a block of them
/// with.
template <typename S, typename Block>
class FloatPanel {
 public:
  static constexpr std::int64_t kBlocks =
      kPanelBytes / (kBlock * kGroupRows * static_cast<std::int64_t>(sizeof(float)));
  static constexpr std::int64_t kBlockBytes = Block::kBlockBytes;
  static constexpr int kTokens = S::kFloatTokens;

  void unpack(const PackedRows& weights, std::int64_t group, std::int64_t first, std::int64_t count) {
    const std::byte* words = weights.quants + (group * weights.blocks + first) * Block::kBlockBytes;
    for (std::int64_t b = 0; b < count; ++b, words += Block::kBlockBytes) {
      float* to = weights_ + b * kBlock * kGroupRows;
      for (int v = 0; v < kVectors; ++v) {
        const Block block(weights, group, first + b, v * S::kLanes, words + v * Block::kVectorBytes);
        Block::steps([&](auto step) LATTICE_INLINE {
          Float w[Block::kColumns];
          block.load(step, w);
          for (int i = 0; i < Block::kColumns; ++i)
            S::store(to + Block::column(step, i) * kGroupRows + v * S::kLanes, w[i]);
        });
      }
    }
  }

  template <int kTile>
  void multiply(const Activation* x, std::int64_t first, std::int64_t count,
                float (*sums)[kGroupRows]) const {
    const float* values[kTile];
    Float totals[kTile][kVectors];
    for (int t = 0; t < kTile; ++t) {
      values[t] = x[t].values + first * kBlock;
      for (int v = 0; v < kVectors; ++v) totals[t][v] = S::load(sums[t] + v * S::kLanes);
    }
    const float* row = weights_;
    for (std::int64_t column = 0; column < count * kBlock; ++column, row += kGroupRows) {
      Float w[kVectors];
      for (int v = 0; v < kVectors; ++v) w[v] = S::load(row + v * S::kLanes);
      for (int t = 0; t < kTile; ++t) {
        const Float value = S::set1(values[t][column]);
        for (int v = 0; v < kVectors; ++v) totals[t][v] = S::fma(w[v], value, totals[t][v]);
      }
    }
    for (int t = 0; t < kTile; ++t) {
      for (int v = 0; v < kVectors; ++v) S::store(sums[t] + v * S::kLanes, totals[t][v]);
    }
  }

 private:
  using Float = typename S::Float;
  static constexpr int kVectors = static_cast<int>(kGroupRows) / S::kLanes;

  alignas(64) float weights_[kBlocks * kBlock * kGroupRows];  // [columns][rows]
};

/// A tile of `tokens` ≤ kTile tokens.
template <int kTile, typename Panel>
void multiply_tile(const Panel& panel, const Activation* x, std::int64_t tokens, std::int64_t first,
                   std::int64_t count, float (*sums)[kGroupRows]) {
  if constexpr (kTile > 1) {
    if (tokens < kTile) return multiply_tile<kTile - 1>(panel, x, tokens, first, count, sums);
  }
  panel.template multiply<kTile>(x, first, count, sums);
}

/// Weights that are asked for while others are multiplied, so that they are in the second-level cache when
/// their panel is made: between two panels passes so much time that processors do not see one stream.
class WeightsAhead {
 public:
  WeightsAhead(const std::byte* from, std::int64_t bytes, std::int64_t portions)
      : at_(from), end_(from + bytes), portion_((bytes / portions / kLine + 1) * kLine) {}
  void ask() {
    const std::byte* end = end_ - at_ < portion_ ? end_ : at_ + portion_;
    for (; at_ < end; at_ += kLine) __builtin_prefetch(at_, 0, 2);
  }

 private:
  static constexpr std::int64_t kLine = 64;
  const std::byte* at_;
  const std::byte* end_;
  std::int64_t portion_;
};

/// Tiles of Panel::kTokens; what is left over for the last two is halved between them, as small ones are
/// slow.
template <typename Panel>
void multiply_panel(const Panel& panel, const Activation* x, std::int64_t tokens, std::int64_t first,
                    std::int64_t count, WeightsAhead ahead, float (*sums)[kGroupRows]) {
  for (std::int64_t t = 0; t < tokens;) {
    const std::int64_t left = tokens - t;
    const bool halve = left > Panel::kTokens && left < 2 * Panel::kTokens;
    const std::int64_t tile = halve ? (left + 1) / 2 : left < Panel::kTokens ? left : Panel::kTokens;
    ahead.ask();
    multiply_tile<Panel::kTokens>(panel, x + t, tile, first, count, sums + t);
    t += tile;
  }
}

/// Writes a group's sums, leaving out rows that are padding.
inline void store_sums(const float (*sums)[kGroupRows], std::int64_t tokens, std::int64_t group,
                       std::int64_t rows, float* y, std::int64_t stride) {
  const std::int64_t first = group * kGroupRows;
  const std::int64_t used = rows - first < kGroupRows ? rows - first : kGroupRows;
  for (std::int64_t t = 0; t < tokens; ++t) {
    float* to = y + t * stride + first;
    if (used == kGroupRows) {
      std::memcpy(to, sums[t], sizeof sums[t]);
    } else if (used > 0) {
      std::memcpy(to, sums[t], static_cast<std::size_t>(used) * sizeof(float));
    }
  }
}

/// Where prompt_product() is: in panel (group, block), of the groups from `first` on; `last` ends its part.
struct PanelPlace {
  std::int64_t first;
  std::int64_t group;
  std::int64_t block;
  std::int64_t last;
};

/// What is multiplied after the panel at a place.
template <typename Panel>
WeightsAhead next_weights(const PackedRows& weights, PanelPlace at, std::int64_t tokens) {
  if (++at.group == smaller(at.first + kPanelGroups, at.last)) {
    at.block += Panel::kBlocks;
    if (at.block < weights.blocks) {
      at.group = at.first;
    } else {
      at.block = 0;
    }
  }
  const std::int64_t blocks = at.group < at.last ? smaller(weights.blocks - at.block, Panel::kBlocks) : 0;
  const std::int64_t skipped = blocks == 0 ? 0 : at.group * weights.blocks + at.block;
  return {weights.quants + skipped * Panel::kBlockBytes, blocks * Panel::kBlockBytes,
          (tokens + Panel::kTokens - 1) / Panel::kTokens};
}

/// The Product (kernels.h) of more than kStepTokens vectors. A panel's part of the vectors comes from the
/// second-level cache for all but the first of kPanelGroups groups.
template <typename Panel>
void prompt_product(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
                    std::int64_t tokens, float* y, std::int64_t stride) {
  Panel panel;
  alignas(64) float sums[kPanelGroups][kPanelTokens][kGroupRows];
  for (std::int64_t done = 0; done < tokens; done += kPanelTokens) {
    const std::int64_t batch = smaller(tokens - done, kPanelTokens);
    for (std::int64_t group = first; group < last; group += kPanelGroups) {
      const std::int64_t groups = smaller(last - group, kPanelGroups);
      for (std::int64_t g = 0; g < groups; ++g)
        std::memset(sums[g], 0, static_cast<std::size_t>(batch) * sizeof sums[g][0]);
      for (std::int64_t block = 0; block < weights.blocks; block += Panel::kBlocks) {
        const std::int64_t count = smaller(weights.blocks - block, Panel::kBlocks);
        for (std::int64_t g = 0; g < groups; ++g) {
          panel.unpack(weights, group + g, block, count);
          multiply_panel(panel, x + done, batch, block, count,
                         next_weights<Panel>(weights, {group, group + g, block, last}, batch), sums[g]);
        }
      }
      for (std::int64_t g = 0; g < groups; ++g)
        store_sums(sums[g], batch, group + g, weights.rows, y + done * stride, stride);
    }
  }
}

}  // namespace
}  // namespace lattice::cpu
