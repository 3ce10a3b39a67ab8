// Panels (prompt_products.h) of weights that meet int8 activations, for instruction sets that multiply four
// bytes without a sign by four with one and add the products to 32 bits. Included by the files of such sets,
// so everything is in an anonymous namespace. S is the set's description (simd_*.h); Dot has
//   multiply_add(sum, a, b)   sum and, in each lane, the products of a's bytes, without a sign, and b's; also
//                             with b as Input::input() makes it of four bytes for all lanes
//   Input                     BroadcastInput (product_kernels.h), or its like
//   sub_bytes                 modulo 2^8
//   load_again(p)             a register from aligned memory, loaded wherever it is asked for: compilers copy
//                             registers instead, and a copy takes a port that multiplies where the processor
//                             cannot rename it away, while loads have room
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/kernels/int8_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/weight_codes.h"

namespace lattice::cpu {
namespace {

/// What is multiplied, the same for all formats whose scales are alike. Weights are codes less the format's
/// zero and meet u = x + 128, which has no sign: a product is Σ w·u − 128 Σ w; and − 128 Σ w, which is a
/// group's own, is what the sums start from, so that no offset is taken off for a token. kWhole: weights are
/// codes of 8 bits from 0 on and meet x, and sums start from 0.
template <typename S, typename Dot, int kHalves, bool kBias, bool kWhole>
class DotTiles {
 public:
  static constexpr int kGroups = kGroupsOf<S>;
  static constexpr std::int64_t kRows = kGroups * kGroupRows;
  static constexpr std::int64_t kBlocks = kPanelBytes / (kBlock * kRows);
  static constexpr int kTokens = kHalves == 1 ? S::kDotTokens : S::kDotHalfTokens;
  static constexpr bool kWholeTiles = false;

  template <int kTile, int kUsed>
  void multiply(const Activation* x, std::int64_t first, std::int64_t count, float (*sums)[kRows]) const {
    constexpr int kVectors = kVectorsOf<S, kUsed>;
    const Operand* operands[kTile];
    Float totals[kTile][kVectors];
    // Indices are constants, so that sums are registers.
    const auto each_sum = [](const auto& f) LATTICE_INLINE {
      unrolled<kTile>([&](auto t) LATTICE_INLINE {
        unrolled<kVectors>([&](auto v) LATTICE_INLINE { f(decltype(t)::value, decltype(v)::value); });
      });
    };
    for (int t = 0; t < kTile; ++t) operands[t] = operand_of(x[t]) + first * kOperandBlock;
    each_sum([&](int t, int v) LATTICE_INLINE { totals[t][v] = S::load(sums[t] + v * S::kLanes); });
    for (std::int64_t b = 0; b < count; ++b) {
      // Pointers to scales are wanted once a block: not worth the registers that keeping them would take.
      asm volatile("" ::: "memory");
      Int products[kTile][kVectors][kHalves];
      each_sum([&](int t, int v) LATTICE_INLINE {
        for (int half = 0; half < kHalves; ++half)
          products[t][v][half] = Dot::load_again(starts_[b][half][v]);
      });
      unrolled<kWords>([&](auto word) LATTICE_INLINE {
        constexpr int kWord = decltype(word)::value;
        constexpr int kHalf = kWord / kHalfWords;
        Int w[kVectors];
        for (int v = 0; v < kVectors; ++v) w[v] = S::load_bytes(codes_[b][kWord][v]);
        unrolled<kTile>([&](auto t) LATTICE_INLINE {
          constexpr int kToken = decltype(t)::value;
          const Int four = four_bytes<S>(operands[kToken] + b * kOperandBlock + 4 * kWord);
          unrolled<kVectors>([&](auto v) LATTICE_INLINE {
            constexpr int kVector = decltype(v)::value;
            Int& product = products[kToken][kVector][kHalf];
            product = kWhole ? Dot::multiply_add(product, w[kVector], four)
                             : Dot::multiply_add(product, four, w[kVector]);
          });
        });
      });
      each_sum([&](int t, int v) LATTICE_INLINE {
        totals[t][v] = add_scaled<S, kBias>(totals[t][v], products[t][v], scales_.of(b, v * S::kLanes),
                                            x[t].scales[first + b], kBias ? x[t].inputs[first + b] : 0.0f);
      });
    }
    each_sum([&](int t, int v) LATTICE_INLINE { S::store(sums[t] + v * S::kLanes, totals[t][v]); });
  }

 protected:
  using Int = typename S::Int;
  using Float = typename S::Float;
  static constexpr int kWords = 8;  // of four columns, in a block
  static constexpr int kHalfWords = kWords / kHalves;
  static constexpr int kPanelVectors = kVectorsOf<S, kGroups>;

  alignas(64) std::byte codes_[kBlocks][kWords][kPanelVectors][S::kLanes * 4];
  alignas(64) std::byte starts_[kBlocks][kHalves][kPanelVectors][S::kLanes * 4];  // − 128 Σ w
  PanelScales<S, kHalves, kBias, kBlocks, kRows> scales_;

 private:
  using Operand = std::conditional_t<kWhole, std::int8_t, std::uint8_t>;
  static constexpr std::int64_t kOperandBlock = kWhole ? kBlock : kTileBlock;

  static const Operand* operand_of(const Activation& x) {
    if constexpr (kWhole) {
      return x.quants;
    } else {
      return x.turned;
    }
  }
};

template <typename Format>
constexpr bool kIsWhole = Format::kBits == 8 && Format::kZero == -128;  // stored less 128

template <typename S, typename Dot, typename Format>
using DotTilesOf = DotTiles<S, Dot, Format::kHalves, Format::Scales::kBias, kIsWhole<Format>>;

template <typename S, typename Dot, typename Format>
class DotPanel : public DotTilesOf<S, Dot, Format> {
  using Tiles = DotTilesOf<S, Dot, Format>;
  using Int = typename S::Int;
  using Reader = CodeReader<S, Format::kBits>;

 public:
  static constexpr std::int64_t kBlockBytes = Reader::kBlockBytes;

  void unpack(const PackedRows& weights, std::int64_t group, int place, std::int64_t first,
              std::int64_t count) {
    unpack_group<S, Format>(weights, group, place, first, count, this->scales_,
                            [&](const Reader& reader, std::int64_t b, int v)
                                LATTICE_INLINE { unpack_block(reader, b, v); });
  }

 private:
  void unpack_block(const Reader& reader, std::int64_t b, int v) {
    Int sums[Format::kHalves];
    for (Int& sum : sums) sum = S::zero_int();
    reader.each_word([&](auto word, Int codes) LATTICE_INLINE {
      constexpr int kWord = decltype(word)::value;
      const Int w = weights_of(codes);
      S::store_int(this->codes_[b][kWord][v], w);
      Int& sum = sums[kWord / Tiles::kHalfWords];
      sum = Dot::multiply_add(sum, S::set1_int(0x01010101), w);
    });
    for (int half = 0; half < Format::kHalves; ++half) {
      const Int turned = S::sub_int(S::zero_int(), S::template shift_left<7>(sums[half]));
      S::store_int(this->starts_[b][half][v], kIsWhole<Format> ? S::zero_int() : turned);
    }
  }

  static Int weights_of(Int codes) {
    if constexpr (kIsWhole<Format>) {
      return S::xor_int(codes, S::set1_int(static_cast<std::int32_t>(0x80808080u)));
    } else if constexpr (Format::kZero == 0) {
      return codes;
    } else {
      return Dot::sub_bytes(codes, S::set1_int(Format::kZero * 0x01010101));
    }
  }
};

/// How product_kernels.h multiplies the vectors of decode steps.
template <typename S, typename Dot>
struct DotSteps {
  using Int = typename S::Int;

  template <int>
  struct Unsigned : Dot::Input {
    static constexpr int kOffset = 0;
    static constexpr bool kWholeBytes = true;
    using Codes = Int;
    using Sum = Int;
    static Codes prepare(Int codes) { return codes; }
    static Sum start(std::int32_t value) { return S::set1_int(value); }
    template <int, typename Four>
    static Sum add(Sum sum, Codes w, Four four) {
      return Dot::multiply_add(sum, w, four);
    }
    static Int total(Sum sum) { return sum; }
  };

  /// Signed codes become unsigned by adding 128, which is turning their top bit round: 32 · 255 · 127 is far
  /// from 32 bits.
  struct Signed : Unsigned<8> {
    static constexpr int kOffset = 128;
    static Int prepare(Int codes) {
      return S::xor_int(codes, S::set1_int(static_cast<std::int32_t>(0x80808080u)));
    }
  };
};

template <typename S, typename Dot>
void add_dot_products(Kernels& table) noexcept {
  each_coded([&]<PackedFormat kFormat, typename Format>(Named<kFormat, Format>) {
    table.products[index_of(kFormat)] =
        product<Int8Tile<S, DotSteps<S, Dot>, Format>, DotPanel<S, Dot, Format>>;
  });
  add_widen<false>(table);
}

}  // namespace
}  // namespace lattice::cpu
