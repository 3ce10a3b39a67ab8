// Panels (prompt_products.h) of weights that meet int8 activations, for instruction sets that multiply bytes,
// or 16-bit numbers, and add the products in pairs. Included by the files of such sets, so everything is in
// an anonymous namespace. S is the set's description (simd_*.h); Pairs has
//   multiply_bytes(a, b)    bytes without a sign by bytes with one, pairs added in 16 bits
//   multiply_words(a, b)    16-bit numbers with a sign, pairs added in 32 bits
//   add_words, sub_words, sub_bytes, times_minus_128   in 16 and in 8 bits, modulo 2^16 and 2^8
//   ones, set1_word         a 16-bit number in every place
//   upper_bytes(a)          of each 16-bit number the upper byte, as a number with a sign
//   in_turn(a)              a, computed where it stands
// A block's sums are integers and exact, so that a prompt's products are those of single steps, bit for bit.
#pragma once

#include <cstdint>

#include "cpu/kernels/int8_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/weight_codes.h"

namespace lattice::cpu {
namespace {

/// How product_kernels.h multiplies codes without a sign in the vectors of decode steps: products are added
/// up in 16 bits as long as they fit, and then in 32.
template <typename S, typename Pairs>
struct PairedCodes {
  template <int kBits>
  struct Unsigned : BroadcastInput<S> {
    static constexpr int kOffset = 0;
    /// Registers of pairs of products, of at most 2 · 127 · (2^bits − 1) each, that fit: 8, 4 and 2.
    static constexpr int kRun = 32767 / (2 * 127 * ((1 << kBits) - 1));
    using Codes = typename S::Int;
    struct Sum {
      typename S::Int narrow;
      typename S::Int wide;
    };
    static Codes prepare(Codes codes) { return codes; }
    static Sum start(std::int32_t value) { return {S::zero_int(), S::set1_int(value)}; }
    template <int kIndex>
    static Sum add(const Sum& sum, Codes w, typename S::Int x) {
      const Codes pairs = Pairs::multiply_bytes(w, x);
      const Codes narrow = kIndex % kRun == 0 ? pairs : Pairs::in_turn(Pairs::add_words(sum.narrow, pairs));
      if constexpr (kIndex % kRun != kRun - 1) return {narrow, sum.wide};
      return {narrow, Pairs::in_turn(S::add_int(sum.wide, Pairs::multiply_words(narrow, Pairs::ones())))};
    }
    static typename S::Int total(const Sum& sum) { return sum.wide; }
  };
};

/// The last two bytes of each lane as 16-bit numbers with a sign: they go to the upper halves of those.
template <typename S, typename Pairs>
typename S::Int high_bytes(typename S::Int a) {
  const auto last = S::and_int(a, S::set1_int(static_cast<std::int32_t>(0xff000000u)));
  const auto third = S::and_int(S::template shift_right<8>(a), S::set1_int(0xff00));
  return Pairs::upper_bytes(S::or_int(last, third));
}
/// The first two.
template <typename S, typename Pairs>
typename S::Int low_bytes(typename S::Int a) {
  return high_bytes<S, Pairs>(S::template shift_left<16>(a));
}

/// A tile's tokens from a block on. The pointers are copied, as stores of registers might change them
/// otherwise for all that the compiler knows.
template <int kTile, typename T>
struct TileTokens {
  const T* operands[kTile];
  const float* scales[kTile];
  const float* inputs[kTile];

  TileTokens(const Activation* x, const T* Activation::*operands_of, std::int64_t first) {
    for (int t = 0; t < kTile; ++t) {
      operands[t] = x[t].*operands_of + first * kTileBlock;
      scales[t] = x[t].scales + first;
      inputs[t] = x[t].inputs + first;
    }
  }
};

/// Adds a block's scaled products with a token to its sums.
template <typename S, typename Scales, int kVectors>
LATTICE_INLINE inline void add_token(const Scales& scales, std::int64_t block,
                                     const typename S::Int (&products)[kVectors][Scales::kHalves],
                                     float x_scale, float x_input, float* sums) {
  for (int v = 0; v < kVectors; ++v) {
    float* sum = sums + v * S::kLanes;
    S::store(sum, add_scaled<S, Scales::kBias>(S::load(sum), products[v], scales.of(block, v * S::kLanes),
                                               x_scale, x_input));
  }
}

/// Codes of 4 to 6 bits, as bytes less the format's zero. With u = x + 128, which has no sign, a product is
/// Σ w·u − 128 Σ w; and − 128 Σ w, which is a group's own, is what the sums start from. They are 16 bits
/// wide, modulo 2^16, and widened when so many words have been added that Σ w·x would no longer fit: what it
/// passes through on the way is no matter.
template <typename S, typename Pairs, typename Format>
class CodePanel {
  using Int = typename S::Int;
  using Reader = CodeReader<S, Format::kBits>;
  static constexpr int kVectors = kVectorsOf<S, 1>;
  static constexpr int kHalves = Format::kHalves;
  static constexpr int kWords = 8;  // of four columns, in a block

  static constexpr int kLast = (1 << Format::kBits) - 1 - Format::kZero;
  static constexpr int kLargest = kLast > Format::kZero ? kLast : Format::kZero;  // |w|
  static_assert(2 * 255 * kLargest <= 32767, "two products of a byte fit 16 bits");
  /// Words that a run of 16-bit sums adds up: two products of each are in one sum.
  static constexpr int kRunWords = [] {
    int words = kWords / kHalves;
    while (words * 2 * 127 * kLargest > 32767) words /= 2;
    return words;
  }();
  static constexpr int kRuns = kWords / kRunWords;

 public:
  static constexpr int kGroups = 1;
  static constexpr std::int64_t kRows = kGroupRows;
  static constexpr std::int64_t kBlocks = kPanelBytes / (kBlock * kGroupRows);
  static constexpr std::int64_t kBlockBytes = Reader::kBlockBytes;
  static constexpr int kTokens = S::kInt8Tokens;
  static constexpr bool kWholeTiles = false;

  void unpack(const PackedRows& weights, std::int64_t group, int place, std::int64_t first,
              std::int64_t count) {
    unpack_group<S, Format>(weights, group, place, first, count, scales_,
                            [&](const Reader& reader, std::int64_t b, int v)
                                LATTICE_INLINE { unpack_block(reader, b, v); });
  }

  template <int kTile, int>
  void multiply(const Activation* x, std::int64_t first, std::int64_t count, float (*sums)[kRows]) const {
    const TileTokens<kTile, std::uint8_t> tokens(x, &Activation::turned, first);
    for (std::int64_t b = 0; b < count; ++b) {
      Int products[kTile][kVectors][kHalves];
      unrolled<kRuns>([&](auto run) LATTICE_INLINE {
        constexpr int kRun = decltype(run)::value;
        constexpr int kHalf = kRun * kHalves / kRuns;
        Int narrow[kTile][kVectors];
        for (auto& token : narrow) {
          for (int v = 0; v < kVectors; ++v) token[v] = S::load_bytes(starts_[b][kRun][v]);
        }
        unrolled<kRunWords>([&](auto word_of_run) LATTICE_INLINE {
          constexpr int kWord = kRun * kRunWords + decltype(word_of_run)::value;
          for (int t = 0; t < kTile; ++t) {
            const Int u = four_bytes<S>(tokens.operands[t] + b * kTileBlock + 4 * kWord);
            for (int v = 0; v < kVectors; ++v) {
              const Int pairs = Pairs::multiply_bytes(u, S::load_bytes(codes_[b][kWord][v]));
              narrow[t][v] = Pairs::in_turn(Pairs::add_words(narrow[t][v], pairs));
            }
          }
        });
        for (int t = 0; t < kTile; ++t) {
          for (int v = 0; v < kVectors; ++v) {
            const Int wide = Pairs::multiply_words(narrow[t][v], Pairs::ones());
            Int& product = products[t][v][kHalf];
            product = kRun * kHalves % kRuns == 0 ? wide : S::add_int(product, wide);
          }
        }
      });
      for (int t = 0; t < kTile; ++t)
        add_token<S>(scales_, b, products[t], tokens.scales[t][b], tokens.inputs[t][b], sums[t]);
    }
  }

 private:
  void unpack_block(const Reader& reader, std::int64_t b, int v) {
    const Int zero = S::set1_int(Format::kZero * 0x01010101);
    Int sums[kRuns];
    for (Int& sum : sums) sum = S::zero_int();
    reader.each_word([&](auto word, Int codes) LATTICE_INLINE {
      constexpr int kWord = decltype(word)::value;
      const Int w = Pairs::sub_bytes(codes, zero);
      S::store_int(codes_[b][kWord][v], w);
      Int& sum = sums[kWord / kRunWords];
      sum = Pairs::add_words(sum, Pairs::multiply_bytes(S::set1_int(0x01010101), w));
    });
    for (int run = 0; run < kRuns; ++run) S::store_int(starts_[b][run][v], Pairs::times_minus_128(sums[run]));
  }

  alignas(64) std::byte codes_[kBlocks][kWords][kVectors][S::kLanes * 4];
  alignas(64) std::byte starts_[kBlocks][kRuns][kVectors][S::kLanes * 4];  // −128 Σ w of a run
  PanelScales<S, kHalves, Format::Scales::kBias, kBlocks, kRows> scales_;
};

/// Codes of 8 bits, whose products with activations fit 16 bits one by one at most: widened to 16 bits, so
/// that pairs are added in 32.
template <typename S, typename Pairs, typename Format>
class WidePanel {
  using Int = typename S::Int;
  using Reader = CodeReader<S, Format::kBits>;
  static constexpr int kVectors = kVectorsOf<S, 1>;
  static constexpr int kWords = 16;  // of two columns, in a block
  static constexpr int kHalves = Format::kHalves;
  static_assert(kHalves == 1);

 public:
  static constexpr int kGroups = 1;
  static constexpr std::int64_t kRows = kGroupRows;
  static constexpr std::int64_t kBlocks = kPanelBytes / (2 * kBlock * kGroupRows);
  static constexpr std::int64_t kBlockBytes = Reader::kBlockBytes;
  static constexpr int kTokens = S::kInt8Tokens;
  static constexpr bool kWholeTiles = false;

  void unpack(const PackedRows& weights, std::int64_t group, int place, std::int64_t first,
              std::int64_t count) {
    unpack_group<S, Format>(weights, group, place, first, count, scales_,
                            [&](const Reader& reader, std::int64_t b, int v)
                                LATTICE_INLINE { unpack_block(reader, b, v); });
  }

  template <int kTile, int>
  void multiply(const Activation* x, std::int64_t first, std::int64_t count, float (*sums)[kRows]) const {
    const TileTokens<kTile, std::int16_t> tokens(x, &Activation::wide, first);
    for (std::int64_t b = 0; b < count; ++b) {
      Int products[kTile][kVectors][kHalves];
      unrolled<kWords>([&](auto word) LATTICE_INLINE {
        constexpr int kWord = decltype(word)::value;
        for (int t = 0; t < kTile; ++t) {
          const Int two = four_bytes<S>(tokens.operands[t] + b * kTileBlock + 2 * kWord);
          for (int v = 0; v < kVectors; ++v) {
            const Int pairs = Pairs::multiply_words(two, S::load_bytes(codes_[b][kWord][v]));
            Int& product = products[t][v][0];
            product = kWord == 0 ? pairs : Pairs::in_turn(S::add_int(product, pairs));
          }
        }
      });
      for (int t = 0; t < kTile; ++t)
        add_token<S>(scales_, b, products[t], tokens.scales[t][b], tokens.inputs[t][b], sums[t]);
    }
  }

 private:
  void unpack_block(const Reader& reader, std::int64_t b, int v) {
    // An affine code is stored less 128.
    const Int zero = Pairs::set1_word(static_cast<std::int16_t>(Format::kZero));
    reader.each_word([&](auto word, Int codes) LATTICE_INLINE {
      constexpr int kWord = decltype(word)::value;
      S::store_int(codes_[b][2 * kWord][v], Pairs::sub_words(low_bytes<S, Pairs>(codes), zero));
      S::store_int(codes_[b][2 * kWord + 1][v], Pairs::sub_words(high_bytes<S, Pairs>(codes), zero));
    });
  }

  alignas(64) std::byte codes_[kBlocks][kWords][kVectors][S::kLanes * 4];
  PanelScales<S, kHalves, Format::Scales::kBias, kBlocks, kRows> scales_;
};

template <typename S, typename Pairs, typename Format, int kBits = Format::kBits>
struct PanelOf {
  using type = CodePanel<S, Pairs, Format>;
};
template <typename S, typename Pairs, typename Format>
struct PanelOf<S, Pairs, Format, 8> {
  using type = WidePanel<S, Pairs, Format>;
};

template <typename S, typename Dot, typename Pairs>
void add_paired_products(Kernels& table) noexcept {
  each_coded([&]<PackedFormat kFormat, typename Format>(Named<kFormat, Format>) {
    using Panel = typename PanelOf<S, Pairs, Format>::type;
    table.products[index_of(kFormat)] = product<Int8Tile<S, Dot, Format>, Panel>;
  });
  add_widen<true>(table);
}

}  // namespace
}  // namespace lattice::cpu
