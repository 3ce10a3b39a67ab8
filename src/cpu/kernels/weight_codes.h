// How the quantised formats of packed weights (PackedRows in kernels.h) come into registers: their codes, as
// bytes, and their scales, as floats. Included by the files of instruction sets, so everything is in an
// anonymous namespace; S is the set's description (simd_*.h).
#pragma once

#include <cstdint>
#include <utility>

#include "cpu/kernels/kernels.h"

namespace lattice::cpu {
namespace {

#define LATTICE_INLINE __attribute__((always_inline))

/// A number as a type, so that what is computed from it can be a constant.
template <int kNumber>
struct Number {
  static constexpr int value = kNumber;
};

template <typename F, int... kNumbers>
LATTICE_INLINE inline void each_number(const F& f, std::integer_sequence<int, kNumbers...>) {
  (f(Number<kNumbers>{}), ...);
}

/// f(Number<0>) … f(Number<kCount − 1>).
template <int kCount, typename F>
LATTICE_INLINE inline void unrolled(const F& f) {
  each_number(f, std::make_integer_sequence<int, kCount>{});
}

/// The codes of a block in kLanes rows. A step takes the next word; its kParts registers hold four columns
/// each, in bytes.
template <typename S, int kBits>
struct CodeReader {
  using Int = typename S::Int;
  static constexpr int kSteps = kBits == 8 ? 8 : 4;
  static constexpr int kParts = kBits == 8 ? 1 : 2;
  static constexpr int kHighWords = kBits == 8 ? 0 : kBits - 4;
  static constexpr std::int64_t kRowOfWords = kGroupRows * 4;
  static constexpr std::int64_t kBlockBytes = kBits * kRowOfWords;  // 32 codes are as many words as bits

  explicit CodeReader(const std::byte* block) : words(block) {
    for (int i = 0; i < kHighWords; ++i) high[i] = S::load_bytes(block + (4 + i) * kRowOfWords);
  }

  /// The first of the four columns.
  static constexpr int column(int step, int part) { return 4 * step + 16 * part; }

  template <int kStep, int kPart>
  [[nodiscard]] Int codes() const {
    const Int word = S::load_bytes(words + kStep * kRowOfWords);
    if constexpr (kBits == 8) {
      return word;
    } else {
      const Int low = S::and_int(shifted<-4 * kPart>(word), S::set1_int(0x0f0f0f0f));
      if constexpr (kBits == 4) return low;
      // The bits above the lower four, brought to bit 4 of their byte.
      constexpr int kHigh = kBits - 4;
      constexpr int kFrom = kHigh == 1 ? 4 * kPart + kStep : 2 * kStep;
      constexpr int kWord = (kHigh - 1) * kPart;  // each part has one of its own, where there are two
      const Int above = shifted<4 - kFrom>(high[kWord]);
      return S::or_int(low, S::and_int(above, S::set1_int(kHigh == 1 ? 0x10101010 : 0x30303030)));
    }
  }

  /// Of 4 bits: the step's second part, times 16.
  template <int kStep>
  [[nodiscard]] Int second_in_place() const {
    return S::and_int(S::load_bytes(words + kStep * kRowOfWords),
                      S::set1_int(static_cast<std::int32_t>(0xf0f0f0f0u)));
  }

  /// f(Number<w>, codes) for each register of codes, w being the columns 4w … of the block that it holds.
  template <typename F>
  LATTICE_INLINE void each_word(const F& f) const {
    unrolled<kSteps>([&](auto step) LATTICE_INLINE {
      unrolled<kParts>([&](auto part) LATTICE_INLINE {
        constexpr int kStep = decltype(step)::value;
        constexpr int kPart = decltype(part)::value;
        f(Number<column(kStep, kPart) / 4>{}, codes<kStep, kPart>());
      });
    });
  }

 private:
  /// Left where kBy is above zero. Bits of a neighbouring byte come in and are masked off.
  template <int kBy>
  static Int shifted(Int a) {
    if constexpr (kBy > 0) return S::template shift_left<kBy>(a);
    if constexpr (kBy < 0) return S::template shift_right<-kBy>(a);
    return a;
  }

  const std::byte* words;
  Int high[kHighWords == 0 ? 1 : kHighWords];
};

/// A block's scales in kLanes rows: one, or one for each half, and what is added to each weight.
template <typename S, int kHalves>
struct ScaleRegisters {
  typename S::Float scale[kHalves];
  typename S::Float bias;
};

inline const std::uint16_t* u16s(const std::byte* p) {
  return reinterpret_cast<const std::uint16_t*>(p);
}

/// Asks for the line that holds `at`, which may lie beyond the matrix.
LATTICE_INLINE inline void ask_for(const std::byte* at) {
  __builtin_prefetch(at, 0, 2);
}

/// A block of a group of rows, `within` blocks after `first` and in the same super-block. Where `within` is a
/// constant, blocks share what follows from `first`.
struct BlockAt {
  std::int64_t group;
  std::int64_t first;
  std::int64_t within = 0;

  [[nodiscard]] std::int64_t block() const { return first + within; }
  [[nodiscard]] std::int64_t index(const PackedRows& weights) const {
    return group * weights.blocks + block();
  }
};

/// Q8_0, Q4_0, Q5_0.
struct BlockScales {
  static constexpr int kHalves = 1;
  static constexpr bool kBias = false;
  /// Of a block of a group: with super-blocks and pairs, in the mean.
  static std::int64_t bytes(const PackedRows&) { return 2 * kGroupRows; }
  template <typename S>
  static void load(const PackedRows& weights, const BlockAt& at, std::int64_t lane,
                   ScaleRegisters<S, 1>& out) {
    out.scale[0] = S::load_f16(u16s(weights.scales) + at.index(weights) * kGroupRows + lane);
  }
};

/// What a super-block of K-quants keeps of a lane's rows: kHalfFloats binary16 numbers a row, kGroupRows
/// apart, then two bytes a row for each of its blocks, likewise.
struct SuperBlock {
  const std::uint16_t* floats;
  const std::byte* own;  // of one block

  template <std::int64_t kHalfFloats>
  static SuperBlock find(const PackedRows& weights, const BlockAt& block, std::int64_t lane) {
    constexpr std::int64_t kFloatBytes = kHalfFloats * 2 * kGroupRows;
    constexpr std::int64_t kBytes = kFloatBytes + kSuperBlocks * 2 * kGroupRows;
    const std::int64_t super = (block.group * weights.blocks + block.first) / kSuperBlocks;
    const std::byte* at = weights.scales + super * kBytes;
    const std::int64_t within = block.first % kSuperBlocks + block.within;
    return {u16s(at) + lane, at + kFloatBytes + within * 2 * kGroupRows + lane};
  }
};

/// Q4_K, Q5_K. Products of binary16 and 6-bit whole numbers are exact in float.
struct SuperScales {
  static constexpr int kHalves = 1;
  static constexpr bool kBias = true;
  static std::int64_t bytes(const PackedRows&) { return (4 + 2 * kSuperBlocks) * kGroupRows / kSuperBlocks; }
  template <typename S>
  static void load(const PackedRows& weights, const BlockAt& at, std::int64_t lane,
                   ScaleRegisters<S, 1>& out) {
    const auto super = SuperBlock::find<2>(weights, at, lane);
    const auto d = S::load_f16(super.floats);
    const auto e = S::load_f16(super.floats + kGroupRows);
    out.scale[0] = S::mul(d, S::to_float(S::load_u8(super.own)));
    out.bias = S::mul(S::sub(S::zero(), e), S::to_float(S::load_u8(super.own + kGroupRows)));
  }
};

/// Q6_K.
struct HalfScales {
  static constexpr int kHalves = 2;
  static constexpr bool kBias = false;
  static std::int64_t bytes(const PackedRows&) { return (2 + 2 * kSuperBlocks) * kGroupRows / kSuperBlocks; }
  template <typename S>
  static void load(const PackedRows& weights, const BlockAt& at, std::int64_t lane,
                   ScaleRegisters<S, 2>& out) {
    const auto super = SuperBlock::find<1>(weights, at, lane);
    const auto d = S::load_f16(super.floats);
    for (int half = 0; half < 2; ++half)
      out.scale[half] = S::mul(d, S::to_float(S::load_i8(super.own + half * kGroupRows)));
  }
};

/// Affine.
struct PairScales {
  static constexpr int kHalves = 1;
  static constexpr bool kBias = true;
  static std::int64_t bytes(const PackedRows& weights) { return (4 * kGroupRows) >> weights.pair_shift; }
  template <typename S>
  static void load(const PackedRows& weights, const BlockAt& at, std::int64_t lane,
                   ScaleRegisters<S, 1>& out) {
    const std::int64_t pair = at.index(weights) >> weights.pair_shift;
    const std::uint16_t* own = u16s(weights.scales) + pair * 2 * kGroupRows + lane;
    out.scale[0] = weights.bf16_pairs ? S::load_bf16(own) : S::load_f16(own);
    out.bias = weights.bf16_pairs ? S::load_bf16(own + kGroupRows) : S::load_f16(own + kGroupRows);
  }
};

/// A quantised format: a weight is scale · (code − kZero) + bias.
template <int kBits_, int kZero_, typename Scales_>
struct Coded {
  static constexpr int kBits = kBits_;
  static constexpr int kZero = kZero_;
  using Scales = Scales_;
  static constexpr int kHalves = Scales::kHalves;
};

template <PackedFormat kFormat, typename Format>
struct Named {};

/// Calls f(Named<format, its description>) for each quantised format.
template <typename F>
void each_coded(const F& f) {
  f(Named<PackedFormat::kQ8_0, Coded<8, 0, BlockScales>>{});
  f(Named<PackedFormat::kQ4_0, Coded<4, 8, BlockScales>>{});
  f(Named<PackedFormat::kQ5_0, Coded<5, 16, BlockScales>>{});
  f(Named<PackedFormat::kQ4_K, Coded<4, 0, SuperScales>>{});
  f(Named<PackedFormat::kQ5_K, Coded<5, 0, SuperScales>>{});
  f(Named<PackedFormat::kQ6_K, Coded<6, 32, HalfScales>>{});
  f(Named<PackedFormat::kAffine4, Coded<4, 0, PairScales>>{});
  f(Named<PackedFormat::kAffine5, Coded<5, 0, PairScales>>{});
  f(Named<PackedFormat::kAffine6, Coded<6, 0, PairScales>>{});
  f(Named<PackedFormat::kAffine8, Coded<8, -128, PairScales>>{});
}

}  // namespace
}  // namespace lattice::cpu
