// Matrix products over packed rows (PackedRows in kernels.h), once for every vector instruction set: of
// decode steps, and for sets without panels of their own (pair_panels.h, dot_panels.h) of prompts too, where
// weights are quantised. Included by one file an instruction set, which is compiled with that set's flags;
// everything is in an anonymous namespace, so that no function compiled with those flags can be merged into
// code that runs without them.
//
// S is the set's description (simd_*.h). A lane is a row: a word of weights meets the same columns of x in
// every lane, so that x is broadcast and nothing is summed across lanes. A tile is a group's rows, or part of
// them, by some tokens, with its sums in registers over all columns: each weight that is loaded meets every
// token of the tile, each broadcast every register of rows.
//
// A thread's part of a matrix is one ascending stream. AMD's processors follow it by themselves, and asking
// for lines ahead of time as well took a quarter of the bandwidth from the fastest of these loops; an Intel
// Xeon does not, and is a quarter slower without that (PackedRows::ahead, docs/optimizations.md).
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/prompt_products.h"
#include "cpu/kernels/weight_codes.h"

namespace lattice::cpu {
namespace {

/// A group's rows by one tile's tokens.
struct TileSums {
  alignas(64) float of[16][kGroupRows];  // [tokens][rows]
};

/// What a decode step will want.
class WeightsToCome {
 public:
  /// Of blocks of `block_bytes`, and of `scale_bytes` apart.
  WeightsToCome(const PackedRows& weights, std::int64_t block_bytes, std::int64_t scale_bytes)
      : ahead_(weights.ahead),
        blocks_(weights.ahead / block_bytes),
        scale_bytes_(scale_bytes),
        scales_(weights.scales) {}

  /// Asks for what is as far ahead of `block`, the `index`-th of the matrix.
  template <std::int64_t kBlockBytes>
  LATTICE_INLINE void ask(const std::byte* block, std::int64_t index) const {
    if (ahead_ == 0) return;
    const std::byte* to_come = block + ahead_;
    asm("" : "+r"(to_come));  // or each line gets a register of its own
    for (std::int64_t i = 0; i < kBlockBytes; i += kLine) ask_for(to_come + i);
    if (scale_bytes_ != 0) ask_for(scales_ + (index + blocks_) * scale_bytes_);
  }

 private:
  static constexpr std::int64_t kLine = 64;

  std::int64_t ahead_;
  std::int64_t blocks_;
  std::int64_t scale_bytes_;
  const std::byte* scales_;
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

/// A block of float weights: a step takes the next word.
template <typename S, typename Words>
struct PlainBlock {
  static constexpr int kColumns = Words::kColumns;
  static constexpr std::int64_t kRowOfWords = kGroupRows * Words::kWordBytes;
  static constexpr std::int64_t kBlockBytes = Words::kWords * kRowOfWords;
  static constexpr std::int64_t kVectorBytes = S::kLanes * Words::kWordBytes;

  PlainBlock(const PackedRows&, std::int64_t, std::int64_t, std::int64_t, const std::byte* block)
      : words(block) {}
  static std::int64_t scale_bytes(const PackedRows&) { return 0; }
  template <typename F>
  LATTICE_INLINE static void steps(const F& f) {
    for (int word = 0; word < Words::kWords; ++word) f(word);
  }
  static int column(int word, int i) { return Words::column(word, i); }
  void load(int word, typename S::Float* out) const { Words::load(words + word * kRowOfWords, out); }

 private:
  const std::byte* words;
};

/// A block of a quantised format as float weights, each rounded once at most: a scale times a code is exact.
template <typename S, typename Format>
struct CodedBlock {
  using Float = typename S::Float;
  using Int = typename S::Int;
  using Reader = CodeReader<S, Format::kBits>;
  static constexpr int kColumns = 4 * Reader::kParts;
  static constexpr std::int64_t kBlockBytes = Reader::kBlockBytes;
  static constexpr std::int64_t kVectorBytes = S::kLanes * 4;

  CodedBlock(const PackedRows& weights, std::int64_t group, std::int64_t block, std::int64_t lane,
             const std::byte* words)
      : reader(words) {
    Format::Scales::load(weights, {group, block}, lane, scales);
    if constexpr (!Format::Scales::kBias) scales.bias = S::zero();
    for (int half = 0; half < Format::kHalves; ++half) {
      const Float zero = S::set1(static_cast<float>(-kZero));
      biases[half] = kZero == 0 ? scales.bias : S::fma(zero, scales.scale[half], scales.bias);
    }
  }
  static std::int64_t scale_bytes(const PackedRows& weights) { return Format::Scales::bytes(weights); }
  template <typename F>
  LATTICE_INLINE static void steps(const F& f) {
    unrolled<Reader::kSteps>(f);
  }
  template <int kStep>
  static int column(Number<kStep>, int i) {
    return Reader::column(kStep, i / 4) + i % 4;
  }
  template <int kStep>
  LATTICE_INLINE void load(Number<kStep>, Float* out) const {
    unrolled<Reader::kParts>([&](auto part) LATTICE_INLINE {
      constexpr int kPart = decltype(part)::value;
      constexpr int kHalf = Format::kHalves == 2 ? kPart : 0;
      Int codes = reader.template codes<kStep, kPart>();
      if constexpr (kTurned) codes = S::xor_int(codes, S::set1_int(static_cast<std::int32_t>(0x80808080u)));
      unrolled<4>([&](auto i) LATTICE_INLINE {
        constexpr int kByte = decltype(i)::value;
        out[4 * kPart + kByte] =
            S::fma(S::to_float(byte_of<kByte>(codes)), scales.scale[kHalf], biases[kHalf]);
      });
    });
  }

 private:
  // Affine codes of 8 bits are stored as signed bytes. Turning the top bit round makes them what they were.
  static constexpr bool kTurned = Format::kBits == 8 && Format::kZero == -128;
  static constexpr int kZero = kTurned ? 0 : Format::kZero;

  /// Byte kByte of each lane, with its sign where codes have one.
  template <int kByte>
  static Int byte_of(Int codes) {
    if constexpr (Format::kBits == 8 && !kTurned) {
      return S::template shift_right<24>(S::template shift_left<24 - 8 * kByte>(codes));
    } else {
      return S::and_int(S::template shift_right<8 * kByte>(codes), S::set1_int(255));
    }
  }

  Reader reader;
  ScaleRegisters<S, Format::kHalves> scales;
  Float biases[Format::kHalves];  // what is added to scale · code
};

template <typename S, typename Block>
struct FloatTile {
  using Float = typename S::Float;
  static constexpr std::int64_t kLanes = S::kLanes;
  static constexpr int kAllVectors = static_cast<int>(kGroupRows) / S::kLanes;
  static constexpr int kMaxTokens = S::kFloatStepTokens;

  /// kVectors registers of rows from `first_vector` on. Columns go to kChains sums in turn: with one token
  /// there are too few sums to hide the latency of FMA otherwise.
  template <int kTokens, int kVectors, int kChains>
  static void part(const PackedRows& weights, std::int64_t group, int first_vector, const Activation* x,
                   TileSums& out) {
    constexpr int kColumns = Block::kColumns;
    const std::byte* words =
        weights.quants + group * weights.blocks * Block::kBlockBytes + first_vector * Block::kVectorBytes;
    const float* values[kTokens];
    for (int t = 0; t < kTokens; ++t) values[t] = x[t].values;
    Float sums[kTokens][kVectors][kChains];
    for (auto& token : sums) {
      for (auto& vector : token) {
        for (Float& chain : vector) chain = S::zero();
      }
    }
    const WeightsToCome to_come(weights, Block::kBlockBytes, Block::scale_bytes(weights));
    for (std::int64_t block = 0; block < weights.blocks; ++block, words += Block::kBlockBytes) {
      if (first_vector == 0) to_come.template ask<Block::kBlockBytes>(words, group * weights.blocks + block);
      const auto vector_block = [&](int v) {
        return Block(weights, group, block, (first_vector + v) * kLanes, words + v * Block::kVectorBytes);
      };
      const auto multiply = [&](const Block* blocks) LATTICE_INLINE {
        int column = 0;
        Block::steps([&](auto step) LATTICE_INLINE {
          Float w[kVectors][kColumns];
          for (int v = 0; v < kVectors; ++v) blocks[v].load(step, w[v]);
          for (int i = 0; i < kColumns; ++i, ++column) {
            const int chain = column % kChains;
            for (int t = 0; t < kTokens; ++t) {
              const Float value = S::set1(values[t][block * kBlock + Block::column(step, i)]);
              for (int v = 0; v < kVectors; ++v)
                sums[t][v][chain] = S::fma(w[v][i], value, sums[t][v][chain]);
            }
          }
        });
      };
      if constexpr (kVectors == 1) {
        const Block one[] = {vector_block(0)};
        multiply(one);
      } else if constexpr (kVectors == 2) {
        const Block two[] = {vector_block(0), vector_block(1)};
        multiply(two);
      } else {
        static_assert(kVectors == 4);
        const Block four[] = {vector_block(0), vector_block(1), vector_block(2), vector_block(3)};
        multiply(four);
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
    constexpr int kVectors = kTokens == 1 ? kAllVectors : S::kStepVectors;
    for (int v = 0; v < kAllVectors; v += kVectors)
      part<kTokens, kVectors, S::kFloatChains>(weights, group, v, x, out);
  }
};

// ---- Products with int8 activations. Dot says how four columns are multiplied in each lane, by bytes with
// a sign (Dot::Signed) or by codes of a number of bits (Dot::Unsigned<kBits>):
//   Codes    a register of weights, prepared once for all tokens of the tile
//   Sum      what a block's products, or half a block's, are added up in, from start(value) to total(sum)
//   input()  of four columns what a register of weights is multiplied with
//   add<i>   the sum and its i-th register of products
//   kWholeBytes   Codes may be any byte without a sign
//   kOffset  what Codes stand above the codes of the format; kOffset times Σ x is taken off at the end
// A block's sum is an integer and exact.

/// What most sets have in common: a register holds four columns in each lane.
template <typename S>
struct BroadcastInput {
  static constexpr bool kWholeBytes = false;
  static typename S::Int input(const std::int8_t* four) {
    std::int32_t bytes;
    std::memcpy(&bytes, four, sizeof bytes);
    return S::set1_int(bytes);
  }
};

template <typename Dot, int kBits>
struct OperandOf {
  using type = typename Dot::template Unsigned<kBits>;
};
template <typename Dot>
struct OperandOf<Dot, 8> {
  using type = typename Dot::Signed;
};

/// sum and a block's products Σ (code − zero) · x, those of each half where scales are the halves'. x_input:
/// the block's Σ x, scaled.
template <typename S, bool kBias, int kHalves>
LATTICE_INLINE inline typename S::Float add_scaled(typename S::Float sum, const typename S::Int* products,
                                                   const ScaleRegisters<S, kHalves>& scales, float x_scale,
                                                   float x_input) {
  using Float = typename S::Float;
  if constexpr (kHalves == 1) {
    const Float scaled = S::mul(S::to_float(products[0]), S::set1(x_scale));
    sum = S::fma(scaled, scales.scale[0], sum);
  } else {
    const Float first = S::mul(S::to_float(products[0]), scales.scale[0]);
    sum = S::fma(S::fma(S::to_float(products[1]), scales.scale[1], first), S::set1(x_scale), sum);
  }
  if constexpr (kBias) sum = S::fma(S::set1(x_input), scales.bias, sum);
  return sum;
}

template <typename S, typename Dot, typename Format>
struct Int8Tile {
  using Float = typename S::Float;
  using Int = typename S::Int;
  using Reader = CodeReader<S, Format::kBits>;
  using Operand = typename OperandOf<Dot, Format::kBits>::type;
  using Scales = typename Format::Scales;
  static constexpr std::int64_t kLanes = S::kLanes;
  static constexpr int kAllVectors = static_cast<int>(kGroupRows) / S::kLanes;
  static constexpr int kMaxTokens = S::kInt8Tokens;
  static constexpr int kHalves = Format::kHalves;
  static constexpr int kZero = Format::kZero + Operand::kOffset;

  /// A single token leaves the second nibbles of bytes where they are, if bytes can be multiplied whole:
  /// their products, sixteen times as large, have sums of their own.
  template <int kTokens>
  static constexpr bool kInPlace = kTokens == 1 && Format::kBits == 4 && Operand::kWholeBytes;
  template <int kTokens>
  static constexpr int kSums = kInPlace<kTokens> ? 2 : kHalves;
  /// Blocks a turn of the loop. A single token has registers to spare.
  template <int kTokens>
  static constexpr std::int64_t kTurn = kTokens == 1 ? 4 : 1;
  static_assert(kSuperBlocks % kTurn<1> == 0, "a turn's blocks are of one super-block");

  /// What a block's sums, or those of its halves, start from, so that they end as Σ (code − zero) · x.
  template <int kTokens>
  LATTICE_INLINE static void start(const Activation& x, std::int64_t block,
                                   typename Operand::Sum (&sums)[kSums<kTokens>]) {
    const std::int32_t total = x.totals[block];
    if constexpr (kHalves == 1) {
      sums[0] = Operand::start(-kZero * total);
      if constexpr (kInPlace<kTokens>) sums[1] = Operand::start(0);
    } else {
      const std::int32_t half = x.halves[block];
      sums[0] = Operand::start(-kZero * half);
      sums[1] = Operand::start(-kZero * (total - half));
    }
  }

  template <int kTokens>
  LATTICE_INLINE static void finish(const typename Operand::Sum (&sums)[kSums<kTokens>],
                                    Int (&products)[kHalves]) {
    for (int half = 0; half < kHalves; ++half) products[half] = Operand::total(sums[half]);
    if constexpr (kInPlace<kTokens>)
      products[0] = S::add_int(products[0], S::template shift_right<4>(Operand::total(sums[1])));
  }

  template <int kTokens, int kStep, int kPart>
  LATTICE_INLINE static typename Operand::Codes codes(const Reader& reader) {
    if constexpr (kInPlace<kTokens> && kPart == 1) {
      return Operand::prepare(reader.template second_in_place<kStep>());
    } else {
      return Operand::prepare(reader.template codes<kStep, kPart>());
    }
  }

  /// Adds a block, whose codes begin at `words`, to the sums.
  template <int kTokens, int kVectors>
  LATTICE_INLINE static void add_block(const PackedRows& weights, const BlockAt& at, int first_vector,
                                       const std::byte* words, const Activation* x,
                                       Float (&sums)[kTokens][kVectors]) {
    const std::int64_t block = at.block();
    typename Operand::Sum products[kTokens][kVectors][kSums<kTokens>];
    for (int t = 0; t < kTokens; ++t) {
      for (auto& own : products[t]) start<kTokens>(x[t], block, own);
    }
    constexpr int kPartsOfSum = Reader::kParts / kSums<kTokens>;
    unrolled<kSums<kTokens>>([&](auto sum) LATTICE_INLINE {
      unrolled<Reader::kSteps * kPartsOfSum>([&](auto product) LATTICE_INLINE {
        constexpr int kSum = decltype(sum)::value;
        constexpr int kIndex = decltype(product)::value;
        constexpr int kStep = kIndex / kPartsOfSum;
        constexpr int kPart = kSum + kIndex % kPartsOfSum;
        typename Operand::Codes w[kVectors];
        for (int v = 0; v < kVectors; ++v)
          w[v] = codes<kTokens, kStep, kPart>(Reader(words + v * 4 * kLanes));
        for (int t = 0; t < kTokens; ++t) {
          const auto input = Operand::input(x[t].quants + block * kBlock + Reader::column(kStep, kPart));
          for (int v = 0; v < kVectors; ++v)
            products[t][v][kSum] = Operand::template add<kIndex>(products[t][v][kSum], w[v], input);
        }
      });
    });
    ScaleRegisters<S, kHalves> scales[kVectors];
    for (int v = 0; v < kVectors; ++v) Scales::load(weights, at, (first_vector + v) * kLanes, scales[v]);
    for (int t = 0; t < kTokens; ++t) {
      const float x_scale = x[t].scales[block];
      const float x_input = x_scale * static_cast<float>(x[t].totals[block]);
      for (int v = 0; v < kVectors; ++v) {
        Int of_halves[kHalves];
        finish<kTokens>(products[t][v], of_halves);
        sums[t][v] = add_scaled<S, Scales::kBias>(sums[t][v], of_halves, scales[v], x_scale, x_input);
      }
    }
  }

  template <int kTokens, int kVectors>
  static void part(const PackedRows& weights, std::int64_t group, int first_vector, const Activation* x,
                   TileSums& out) {
    const std::byte* words =
        weights.quants + group * weights.blocks * Reader::kBlockBytes + first_vector * 4 * kLanes;
    Float sums[kTokens][kVectors];
    for (auto& token : sums) {
      for (Float& sum : token) sum = S::zero();
    }
    const WeightsToCome to_come(weights, Reader::kBlockBytes, Scales::bytes(weights));
    const auto add = [&](const BlockAt& at) LATTICE_INLINE {
      if (first_vector == 0) to_come.template ask<Reader::kBlockBytes>(words, at.index(weights));
      add_block<kTokens, kVectors>(weights, at, first_vector, words, x, sums);
      words += Reader::kBlockBytes;
    };
    constexpr std::int64_t kBlocks = kTurn<kTokens>;
    std::int64_t block = 0;
    for (; block + kBlocks <= weights.blocks; block += kBlocks)
      unrolled<kBlocks>([&](auto i) LATTICE_INLINE { add({group, block, decltype(i)::value}); });
    for (; block < weights.blocks; ++block) add({group, block});
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

/// A group against `tokens` vectors, in tiles of kTokens and one of what is left.
template <typename Tile, int kTokens>
void group_product(const PackedRows& weights, std::int64_t group, const Activation* x, std::int64_t tokens,
                   float* y, std::int64_t stride) {
  TileSums sums;
  std::int64_t t = 0;
  for (; t + kTokens <= tokens; t += kTokens) {
    Tile::template run<kTokens>(weights, group, x + t, sums);
    store_sums<kGroupRows>(sums.of, kTokens, group * kGroupRows, weights.rows, y + t * stride, stride);
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
  for (std::int64_t group = first; group < last; ++group)
    group_product<Tile, Tile::kMaxTokens>(weights, group, x, tokens, y, stride);
}

/// Decode steps in tiles, prompts over panels.
template <typename Tile, typename Panel>
void product(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
             std::int64_t tokens, float* y, std::int64_t stride) {
  const auto of_tokens = tokens <= kStepTokens ? product<Tile> : prompt_product<Panel>;
  of_tokens(weights, first, last, x, tokens, y, stride);
}

constexpr std::size_t index_of(PackedFormat format) {
  return static_cast<std::size_t>(format);
}

template <typename S, typename Block>
constexpr Product float_product = product<FloatTile<S, Block>, FloatPanel<S, Block>>;

template <typename S>
void add_float_products(Kernels& table) noexcept {
  const auto add = [&](PackedFormat format, Product product) {
    table.products[index_of(format)] = table.exact_products[index_of(format)] = product;
  };
  add(PackedFormat::kF32, float_product<S, PlainBlock<S, WordsF32<S>>>);
  add(PackedFormat::kF16, float_product<S, PlainBlock<S, WordsF16<S>>>);
  add(PackedFormat::kBF16, float_product<S, PlainBlock<S, WordsBF16<S>>>);
  each_coded([&]<PackedFormat kFormat, typename Format>(Named<kFormat, Format>) {
    table.exact_products[index_of(kFormat)] = float_product<S, CodedBlock<S, Format>>;
  });
}

template <typename S, typename Dot>
void add_int8_products(Kernels& table) noexcept {
  each_coded([&]<PackedFormat kFormat, typename Format>(Named<kFormat, Format>) {
    table.products[index_of(kFormat)] = product<Int8Tile<S, Dot, Format>>;
  });
}

}  // namespace
}  // namespace lattice::cpu
