// Matrix products with the vectors of a prompt, once for every vector instruction set. Included by the files
// of instruction sets, so everything is in an anonymous namespace; S is the set's description (simd_*.h).
//
// A part of the columns of one or two groups, a panel, is unpacked once for up to kPanelTokens vectors into
// what the tiles multiply, and stays in the first-level cache while they do. That is the packing of Goto and
// van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34, 2008), of the one operand
// that is not stored as it is multiplied. A tile is all rows of the panel by some tokens; its sums go on from
// panel to panel in memory.
//
// A Panel has
//   kGroups          groups that it holds at most
//   kBlocks          blocks of 32 columns that it holds at most
//   kBlockBytes      what a block of a group takes where it comes from, without scales
//   kTokens          tokens of its largest tile
//   kWholeTiles      there are no smaller ones: vectors and sums past the last are multiplied, for nothing
//   unpack()         fills the `place`-th group's part with `count` blocks from block `first` on
//   multiply<t, g>() adds the products of its first g groups with a tile's t tokens to sums [t][kGroups · 16]
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

/// Groups of a panel: a tile has two registers of rows at least, since a token's number is loaded for each
/// register otherwise, and loads, of which processors do as many in a cycle as multiplications, set the pace.
template <typename S>
constexpr int kGroupsOf = S::kLanes == kGroupRows ? 2 : 1;

/// A tile's sums, or what they are made of, in one group's rows or in several groups'.
template <typename S, int kGroups>
constexpr int kVectorsOf = kGroups* static_cast<int>(kGroupRows) / S::kLanes;

/// A panel of weights that are multiplied as floats. Block: what product_kernels.h reads a block of them
/// with.
template <typename S, typename Block>
class FloatPanel {
 public:
  static constexpr int kGroups = kGroupsOf<S>;
  static constexpr std::int64_t kRows = kGroups * kGroupRows;
  static constexpr std::int64_t kBlocks =
      kPanelBytes / (kBlock * kRows * static_cast<std::int64_t>(sizeof(float)));
  static constexpr std::int64_t kBlockBytes = Block::kBlockBytes;
  static constexpr int kTokens = S::kFloatTokens;
  static constexpr bool kWholeTiles = false;

  void unpack(const PackedRows& weights, std::int64_t group, int place, std::int64_t first,
              std::int64_t count) {
    const std::byte* words = weights.quants + (group * weights.blocks + first) * Block::kBlockBytes;
    for (std::int64_t b = 0; b < count; ++b, words += Block::kBlockBytes) {
      float* to = weights_ + b * kBlock * kRows + place * kGroupRows;
      for (int v = 0; v < kVectorsOf<S, 1>; ++v) {
        const Block block(weights, group, first + b, v * S::kLanes, words + v * Block::kVectorBytes);
        Block::steps([&](auto step) LATTICE_INLINE {
          Float w[Block::kColumns];
          block.load(step, w);
          for (int i = 0; i < Block::kColumns; ++i)
            S::store(to + Block::column(step, i) * kRows + v * S::kLanes, w[i]);
        });
      }
    }
  }

  template <int kTile, int kUsed>
  void multiply(const Activation* x, std::int64_t first, std::int64_t count, float (*sums)[kRows]) const {
    constexpr int kVectors = kVectorsOf<S, kUsed>;
    const float* values[kTile];
    Float totals[kTile][kVectors];
    for (int t = 0; t < kTile; ++t) {
      values[t] = x[t].values + first * kBlock;
      for (int v = 0; v < kVectors; ++v) totals[t][v] = S::load(sums[t] + v * S::kLanes);
    }
    const float* row = weights_;
    for (std::int64_t column = 0; column < count * kBlock; ++column, row += kRows) {
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

  alignas(64) float weights_[kBlocks * kBlock * kRows];  // [columns][rows]
};

/// A tile of `tokens` ≤ kTile tokens.
template <int kTile, int kUsed, typename Panel>
void multiply_tile(const Panel& panel, const Activation* x, std::int64_t tokens, std::int64_t first,
                   std::int64_t count, float (*sums)[Panel::kRows]) {
  if constexpr (kTile > 1) {
    if (tokens < kTile) return multiply_tile<kTile - 1, kUsed>(panel, x, tokens, first, count, sums);
  }
  panel.template multiply<kTile, kUsed>(x, first, count, sums);
}

/// Weights that are asked for while others are multiplied, so that they are in the second-level cache when
/// their panel is made: between two panels passes so much time that processors do not see one stream. Those
/// of `groups` groups, `bytes` of each, whose beginnings are group_bytes apart.
class WeightsAhead {
 public:
  WeightsAhead(const std::byte* from, std::int64_t bytes, std::int64_t groups, std::int64_t group_bytes,
               std::int64_t portions)
      : at_(from),
        end_(from + bytes),
        groups_(groups),
        group_bytes_(group_bytes),
        portion_((bytes / portions / kLine + 1) * kLine) {}
  void ask() {
    const std::byte* end = end_ - at_ < portion_ ? end_ : at_ + portion_;
    for (; at_ < end; at_ += kLine) {
      for (std::int64_t g = 0; g < groups_; ++g) __builtin_prefetch(at_ + g * group_bytes_, 0, 2);
    }
  }

 private:
  static constexpr std::int64_t kLine = 64;
  const std::byte* at_;
  const std::byte* end_;
  std::int64_t groups_;
  std::int64_t group_bytes_;
  std::int64_t portion_;
};

/// Tiles of Panel::kTokens; what is left over for the last two is halved between them, as small ones are
/// slow.
template <int kUsed, typename Panel>
void multiply_panel(const Panel& panel, const Activation* x, std::int64_t tokens, std::int64_t first,
                    std::int64_t count, WeightsAhead ahead, float (*sums)[Panel::kRows]) {
  if constexpr (Panel::kWholeTiles) {
    for (std::int64_t t = 0; t < tokens; t += Panel::kTokens) {
      ahead.ask();
      panel.template multiply<Panel::kTokens, kUsed>(x + t, first, count, sums + t);
    }
    return;
  }
  for (std::int64_t t = 0; t < tokens;) {
    const std::int64_t left = tokens - t;
    const bool halve = left > Panel::kTokens && left < 2 * Panel::kTokens;
    const std::int64_t tile = halve ? (left + 1) / 2 : left < Panel::kTokens ? left : Panel::kTokens;
    ahead.ask();
    multiply_tile<Panel::kTokens, kUsed>(panel, x + t, tile, first, count, sums + t);
    t += tile;
  }
}

/// Writes the sums of the rows from `first` on, leaving out those from `last` on.
template <std::int64_t kRows>
void store_sums(const float (*sums)[kRows], std::int64_t tokens, std::int64_t first, std::int64_t last,
                float* y, std::int64_t stride) {
  const std::int64_t used = smaller(last - first, kRows);
  for (std::int64_t t = 0; t < tokens; ++t) {
    float* to = y + t * stride + first;
    if (used == kRows) {
      std::memcpy(to, sums[t], sizeof sums[t]);
    } else if (used > 0) {
      std::memcpy(to, sums[t], static_cast<std::size_t>(used) * sizeof(float));
    }
  }
}

/// Where prompt_product() is: in the panel of (group, block), of the groups from `first` on; `last` ends its
/// part.
struct PanelPlace {
  std::int64_t first;
  std::int64_t group;
  std::int64_t block;
  std::int64_t last;
};

/// What is multiplied after the panel at a place.
template <typename Panel>
WeightsAhead next_weights(const PackedRows& weights, PanelPlace at, std::int64_t tokens) {
  at.group += Panel::kGroups;
  if (at.group >= smaller(at.first + kPanelGroups, at.last)) {
    at.block += Panel::kBlocks;
    if (at.block < weights.blocks) {
      at.group = at.first;
    } else {
      at.block = 0;
    }
  }
  const std::int64_t groups = smaller(at.last - at.group, Panel::kGroups);
  const std::int64_t blocks = groups > 0 ? smaller(weights.blocks - at.block, Panel::kBlocks) : 0;
  const std::int64_t skipped = blocks == 0 ? 0 : at.group * weights.blocks + at.block;
  return {weights.quants + skipped * Panel::kBlockBytes, blocks * Panel::kBlockBytes, groups,
          weights.blocks * Panel::kBlockBytes, (tokens + Panel::kTokens - 1) / Panel::kTokens};
}

/// The Product (kernels.h) of more than kStepTokens vectors. A panel's part of the vectors comes from the
/// second-level cache for all but the first of kPanelGroups groups.
template <typename Panel>
void prompt_product(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
                    std::int64_t tokens, float* y, std::int64_t stride) {
  constexpr std::int64_t kGroups = Panel::kGroups;
  static_assert(kPanelGroups % kGroups == 0);
  Panel panel;
  alignas(64) float sums[kPanelGroups / kGroups][kPanelTokens][Panel::kRows];
  for (std::int64_t done = 0; done < tokens; done += kPanelTokens) {
    const std::int64_t batch = smaller(tokens - done, kPanelTokens);
    for (std::int64_t group = first; group < last; group += kPanelGroups) {
      const std::int64_t groups = smaller(last - group, kPanelGroups);
      for (std::int64_t g = 0; g < groups; g += kGroups)
        std::memset(sums[g / kGroups], 0, static_cast<std::size_t>(batch) * sizeof sums[0][0]);
      for (std::int64_t block = 0; block < weights.blocks; block += Panel::kBlocks) {
        const std::int64_t count = smaller(weights.blocks - block, Panel::kBlocks);
        for (std::int64_t g = 0; g < groups; g += kGroups) {
          const int used = static_cast<int>(smaller(groups - g, kGroups));
          for (int place = 0; place < used; ++place)
            panel.unpack(weights, group + g + place, place, block, count);
          const WeightsAhead ahead = next_weights<Panel>(weights, {group, group + g, block, last}, batch);
          const auto multiply = used == kGroups ? multiply_panel<kGroups, Panel> : multiply_panel<1, Panel>;
          multiply(panel, x + done, batch, block, count, ahead, sums[g / kGroups]);
        }
      }
      const std::int64_t end = smaller(weights.rows, (group + groups) * kGroupRows);
      for (std::int64_t g = 0; g < groups; g += kGroups)
        store_sums<Panel::kRows>(sums[g / kGroups], batch, (group + g) * kGroupRows, end, y + done * stride,
                                 stride);
    }
  }
}

}  // namespace
}  // namespace lattice::cpu
