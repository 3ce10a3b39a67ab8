// Matrix products over packed rows (PackedRows in kernels.h), once for every vector instruction set. Included
// by one file an instruction set, which is compiled with that set's flags; everything is in an anonymous
// namespace, so that no function compiled with those flags can be merged into code that runs without them.
//
// S is the set's description (simd_*.h). A lane is a row: a word of weights meets the same columns of x in
// every lane, so that x is broadcast and nothing is summed across lanes. A tile is a group's rows, or part of
// them, by some tokens, with its sums in registers over all columns: each weight that is loaded meets every
// token of the tile, each broadcast every register of rows.
//
// There is no software prefetch: a thread's part of a matrix is one ascending stream, which processors follow
// by themselves, and asking for lines ahead of time as well took a quarter of the bandwidth from the fastest
// of these loops (docs/optimizations.md).
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/kernels.h"

namespace lattice::cpu {
namespace {

/// A group's rows by one tile's tokens.
struct TileSums {
  alignas(64) float of[16][kGroupRows];  // [tokens][rows]
};

// ---- Float products. A format says how a register of words becomes kColumns registers of floats, and which
// columns of the block they are.

template <typename S>
struct WordsF32 {
  static constexpr int kWordBytes = 4;
  static constexpr int kWords = 32;
  static constexpr int kColumns = 1;
  static int column(int word, int) { return word; }
  static void load(const std::byte* words, typename S::Float* out) {
    out[0] = S::load(reinterpret_cast<const float*>(words));
  }
};

template <typename S>
struct WordsF16 {
  static constexpr int kWordBytes = 2;
  static constexpr int kWords = 32;
  static constexpr int kColumns = 1;
  static int column(int word, int) { return word; }
  static void load(const std::byte* words, typename S::Float* out) {
    out[0] = S::load_f16(reinterpret_cast<const std::uint16_t*>(words));
  }
};

template <typename S>
struct WordsBF16 {
  static constexpr int kWordBytes = 4;
  static constexpr int kWords = 16;
  static constexpr int kColumns = 2;
  static int column(int word, int i) { return 2 * word + i; }
  static void load(const std::byte* words, typename S::Float* out) {
    const typename S::Int pair = S::load_bytes(words);
    out[0] = S::as_float(S::template shift_left<16>(pair));
    out[1] = S::as_float(S::and_int(pair, S::set1_int(static_cast<std::int32_t>(0xffff0000u))));
  }
};

template <typename S>
struct WordsQ8 {
  static constexpr int kWordBytes = 4;
  static constexpr int kWords = 8;
  static constexpr int kColumns = 4;
  static int column(int word, int i) { return 4 * word + i; }
  static void load(const std::byte* words, typename S::Float* out) {
    const typename S::Int codes = S::load_bytes(words);
    out[0] = S::to_float(S::template shift_right<24>(S::template shift_left<24>(codes)));
    out[1] = S::to_float(S::template shift_right<24>(S::template shift_left<16>(codes)));
    out[2] = S::to_float(S::template shift_right<24>(S::template shift_left<8>(codes)));
    out[3] = S::to_float(S::template shift_right<24>(codes));
  }
};

template <typename S>
struct WordsQ4 {
  static constexpr int kWordBytes = 4;
  static constexpr int kWords = 4;
  static constexpr int kColumns = 8;
  static int column(int word, int i) { return i < 4 ? 4 * word + i : 12 + 4 * word + i; }
  static void load(const std::byte* words, typename S::Float* out) {
    const typename S::Int codes = S::load_bytes(words);
    const auto code = [](typename S::Int shifted) {
      return S::to_float(S::sub_int(S::and_int(shifted, S::set1_int(15)), S::set1_int(8)));
    };
    out[0] = code(codes);
    out[4] = code(S::template shift_right<4>(codes));
    out[1] = code(S::template shift_right<8>(codes));
    out[5] = code(S::template shift_right<12>(codes));
    out[2] = code(S::template shift_right<16>(codes));
    out[6] = code(S::template shift_right<20>(codes));
    out[3] = code(S::template shift_right<24>(codes));
    out[7] = code(S::template shift_right<28>(codes));
  }
};

template <typename S, typename Words, bool kScaled>
struct FloatTile {
  using Float = typename S::Float;
  static constexpr std::int64_t kLanes = S::kLanes;
  static constexpr int kAllVectors = static_cast<int>(kGroupRows) / S::kLanes;
  static constexpr int kMaxTokens = S::kFloatTokens;
  static constexpr int kStepTile = S::kFloatStepTokens;

  /// kVectors registers of rows from `first_vector` on. Columns go to kChains sums in turn: with one token
  /// there are too few sums to hide the latency of FMA otherwise.
  template <int kTokens, int kVectors, int kChains>
  static void part(const PackedRows& weights, std::int64_t group, int first_vector, const Activation* x,
                   TileSums& out) {
    constexpr std::int64_t kRowOfWords = kGroupRows * Words::kWordBytes;
    constexpr std::int64_t kBlockBytes = Words::kWords * kRowOfWords;
    constexpr std::int64_t kVectorBytes = kLanes * Words::kWordBytes;
    const std::byte* words = weights.quants + group * weights.blocks * kBlockBytes;
    const float* values[kTokens];
    for (int t = 0; t < kTokens; ++t) values[t] = x[t].values;
    Float sums[kTokens][kVectors][kChains];
    Float partial[kTokens][kVectors][kChains];
    const auto clear = [](auto& all) {
      for (auto& token : all) {
        for (auto& vector : token) {
          for (Float& chain : vector) chain = S::zero();
        }
      }
    };
    clear(sums);

    for (std::int64_t block = 0; block < weights.blocks; ++block) {
      if constexpr (kScaled) clear(partial);
      auto& target = kScaled ? partial : sums;
      // Once around all chains at a time, so that a chain is a register and not an index.
      constexpr int kRound = kChains > Words::kColumns ? kChains / Words::kColumns : 1;
      for (int first = 0; first < Words::kWords; first += kRound) {
        for (int word = 0; word < kRound; ++word, words += kRowOfWords) {
          Float w[kVectors][Words::kColumns];
          for (int v = 0; v < kVectors; ++v) Words::load(words + (first_vector + v) * kVectorBytes, w[v]);
          for (int i = 0; i < Words::kColumns; ++i) {
            const int chain = (word * Words::kColumns + i) % kChains;
            for (int t = 0; t < kTokens; ++t) {
              const Float value = S::set1(values[t][block * kBlock + Words::column(first + word, i)]);
              for (int v = 0; v < kVectors; ++v)
                target[t][v][chain] = S::fma(w[v][i], value, target[t][v][chain]);
            }
          }
        }
      }
      if constexpr (kScaled) {
        const std::uint16_t* scales = weights.scales + (group * weights.blocks + block) * kGroupRows;
        for (int v = 0; v < kVectors; ++v) {
          const Float scale = S::load_f16(scales + (first_vector + v) * kLanes);
          for (int t = 0; t < kTokens; ++t) {
            for (int c = 0; c < kChains; ++c) sums[t][v][c] = S::fma(scale, partial[t][v][c], sums[t][v][c]);
          }
        }
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int v = 0; v < kVectors; ++v) {
        Float total = sums[t][v][0];
        for (int c = 1; c < kChains; ++c) total = S::add(total, sums[t][v][c]);
        S::store(out.of[t] + (first_vector + v) * kLanes, total);
      }
    }
  }

  template <int kTokens>
  static void run(const PackedRows& weights, std::int64_t group, const Activation* x, TileSums& out) {
    // Small tiles sum in the order of one token.
    constexpr int kChains = kTokens <= kStepTile ? S::kFloatChains : 1;
    constexpr int kWidest = kTokens == 1 ? kAllVectors : kChains == 1 ? S::kTileVectors : S::kStepVectors;
    constexpr int kVectors = kAllVectors < kWidest ? kAllVectors : kWidest;
    for (int v = 0; v < kAllVectors; v += kVectors)
      part<kTokens, kVectors, kChains>(weights, group, v, x, out);
  }
};

// ---- Products with int8 activations. Dot says how four columns are multiplied in each lane:
//   Codes    a register of weights, prepared once for all tokens of the tile
//   Sum      what a block's products are added up in; starts as zero()
//   kOffset  what the codes stand above the weights' own, times which Σ x is taken off at the end
// A block's sum is an integer and exact.

template <typename S, typename Dot>
struct CodesQ8 {
  static constexpr int kWords = 8;
  static constexpr int kParts = 1;
  static constexpr int kOffset = Dot::kOffsetQ8;
  using Operand = typename Dot::Signed;
  static void load(const std::byte* words, typename Operand::Codes* out) {
    out[0] = Operand::prepare(S::load_bytes(words));
  }
  static int first_column(int word, int) { return 4 * word; }
};

template <typename S, typename Dot>
struct CodesQ4 {
  static constexpr int kWords = 4;
  static constexpr int kParts = 2;
  static constexpr int kOffset = 8;
  using Operand = typename Dot::Nibbles;
  static void load(const std::byte* words, typename Operand::Codes* out) {
    const typename S::Int bytes = S::load_bytes(words);
    const typename S::Int mask = S::set1_int(0x0f0f0f0f);
    out[0] = Operand::prepare(S::and_int(bytes, mask));
    out[1] = Operand::prepare(S::and_int(S::template shift_right<4>(bytes), mask));
  }
  static int first_column(int word, int part) { return 4 * word + 16 * part; }
};

template <typename S, typename Codes>
struct Int8Tile {
  using Float = typename S::Float;
  using Operand = typename Codes::Operand;
  static constexpr std::int64_t kLanes = S::kLanes;
  static constexpr int kAllVectors = static_cast<int>(kGroupRows) / S::kLanes;
  static constexpr int kMaxTokens = S::kInt8Tokens;
  static constexpr int kStepTile = kMaxTokens;  // a block's sum is exact in any order

  template <int kTokens, int kVectors>
  static void part(const PackedRows& weights, std::int64_t group, int first_vector, const Activation* x,
                   TileSums& out) {
    constexpr std::int64_t kRowOfWords = kGroupRows * 4;
    constexpr std::int64_t kBlockBytes = Codes::kWords * kRowOfWords;
    const std::byte* words = weights.quants + group * weights.blocks * kBlockBytes;
    const std::uint16_t* scales = weights.scales + group * weights.blocks * kGroupRows;
    const std::int8_t* quants[kTokens];
    for (int t = 0; t < kTokens; ++t) quants[t] = x[t].quants;
    Float sums[kTokens][kVectors];
    for (auto& token : sums) {
      for (Float& sum : token) sum = S::zero();
    }

    for (std::int64_t block = 0; block < weights.blocks; ++block, scales += kGroupRows) {
      typename Operand::Sum products[kTokens][kVectors];
      for (auto& token : products) {
        for (auto& product : token) product = Operand::zero();
      }
      for (int word = 0; word < Codes::kWords; ++word, words += kRowOfWords) {
        typename Operand::Codes w[kVectors][Codes::kParts];
        for (int v = 0; v < kVectors; ++v) Codes::load(words + (first_vector + v) * 4 * kLanes, w[v]);
        for (int p = 0; p < Codes::kParts; ++p) {
          const std::int64_t column = block * kBlock + Codes::first_column(word, p);
          for (int t = 0; t < kTokens; ++t) {
            std::int32_t four;
            std::memcpy(&four, quants[t] + column, sizeof four);
            const typename S::Int operand = S::set1_int(four);
            for (int v = 0; v < kVectors; ++v)
              products[t][v] = Operand::add(products[t][v], w[v][p], operand);
          }
        }
      }
      Float scale[kVectors];
      for (int v = 0; v < kVectors; ++v) scale[v] = S::load_f16(scales + (first_vector + v) * kLanes);
      for (int t = 0; t < kTokens; ++t) {
        const Float x_scale = S::set1(x[t].scales[block]);
        [[maybe_unused]] typename S::Int offset = S::zero_int();
        if constexpr (Codes::kOffset == 8)
          offset = S::template shift_left<3>(S::set1_int(x[t].totals[block]));
        if constexpr (Codes::kOffset == 128)
          offset = S::template shift_left<7>(S::set1_int(x[t].totals[block]));
        for (int v = 0; v < kVectors; ++v) {
          typename S::Int total = Operand::total(products[t][v]);
          if constexpr (Codes::kOffset != 0) total = S::sub_int(total, offset);
          sums[t][v] = S::fma(S::mul(S::to_float(total), x_scale), scale[v], sums[t][v]);
        }
      }
    }
    for (int t = 0; t < kTokens; ++t) {
      for (int v = 0; v < kVectors; ++v) S::store(out.of[t] + (first_vector + v) * kLanes, sums[t][v]);
    }
  }

  template <int kTokens>
  static void run(const PackedRows& weights, std::int64_t group, const Activation* x, TileSums& out) {
    constexpr int kVectors = kTokens == 1 ? kAllVectors : S::kInt8Vectors;
    for (int v = 0; v < kAllVectors; v += kVectors) part<kTokens, kVectors>(weights, group, v, x, out);
  }
};

// ---- What they share.

/// Writes a tile's sums, leaving out rows that are padding.
inline void store_tile(const TileSums& sums, std::int64_t tokens, std::int64_t group, std::int64_t rows,
                       float* y, std::int64_t stride) {
  const std::int64_t first = group * kGroupRows;
  const std::int64_t used = rows - first < kGroupRows ? rows - first : kGroupRows;
  for (std::int64_t t = 0; t < tokens; ++t) {
    float* to = y + t * stride + first;
    if (used == kGroupRows) {
      std::memcpy(to, sums.of[t], sizeof sums.of[t]);
    } else if (used > 0) {
      std::memcpy(to, sums.of[t], static_cast<std::size_t>(used) * sizeof(float));
    }
  }
}

/// A group against `tokens` vectors, in tiles of kTokens and one of what is left.
template <typename Tile, int kTokens>
void group_product(const PackedRows& weights, std::int64_t group, const Activation* x, std::int64_t tokens,
                   float* y, std::int64_t stride) {
  TileSums sums;
  std::int64_t t = 0;
  for (; t + kTokens <= tokens; t += kTokens) {
    Tile::template run<kTokens>(weights, group, x + t, sums);
    store_tile(sums, kTokens, group, weights.rows, y + t * stride, stride);
  }
  if constexpr (kTokens > 1) {
    if (t < tokens)
      group_product<Tile, kTokens - 1>(weights, group, x + t, tokens - t, y + t * stride, stride);
  }
}

/// Groups outermost: weights come from memory once, for all tokens.
template <typename Tile>
void product(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
             std::int64_t tokens, float* y, std::int64_t stride) {
  constexpr auto kOfGroup = group_product<Tile, Tile::kMaxTokens>;
  constexpr auto kOfSteps = group_product<Tile, Tile::kStepTile>;
  const auto of_group = tokens <= kStepTokens ? kOfSteps : kOfGroup;
  for (std::int64_t group = first; group < last; ++group) of_group(weights, group, x, tokens, y, stride);
}

template <typename S>
void add_float_products(Kernels& table) noexcept {
  table.f32 = product<FloatTile<S, WordsF32<S>, false>>;
  table.f16 = product<FloatTile<S, WordsF16<S>, false>>;
  table.bf16 = product<FloatTile<S, WordsBF16<S>, false>>;
  table.q8_0_exact = product<FloatTile<S, WordsQ8<S>, true>>;
  table.q4_0_exact = product<FloatTile<S, WordsQ4<S>, true>>;
}

template <typename S, typename Dot>
void add_int8_products(Kernels& table) noexcept {
  table.q8_0 = product<Int8Tile<S, CodesQ8<S, Dot>>>;
  table.q4_0 = product<Int8Tile<S, CodesQ4<S, Dot>>>;
}

}  // namespace
}  // namespace lattice::cpu
