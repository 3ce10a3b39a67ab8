// Panels (prompt_products.h) of weights that meet int8 activations in tiles (amx_tiles.h). Included by files
// that are compiled for them, so everything is in an anonymous namespace.
//
// A product of two tiles is what a group's rows and kTileTokens vectors have in a block. It is exact, so that
// a prompt's products are those of single steps, bit for bit. To be scaled it goes through memory, from tiles
// to vector registers, while the products of the blocks that follow are under way. That way costs more than
// the multiplication, so that formats with a scale for each half of a block are left to VNNI.
#pragma once

#include <cstdint>

#include "cpu/kernels/amx_tiles.h"
#include "cpu/kernels/int8_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/prompt_products.h"
#include "cpu/kernels/simd_avx512.h"

namespace lattice::cpu {
namespace {

/// Writes the products of tokens, kBlock bytes from each to the next, and weights. kSlot: which tiles it
/// takes, 0 or 1, so that one product need not wait for another; tiles' numbers must be literals. Weights
/// have no sign if kUnsigned.
template <int kSlot, bool kUnsigned>
LATTICE_INLINE inline void multiply_bytes(const std::int8_t* tokens, const std::byte* weights,
                                          std::int32_t (*products)[kGroupRows]) {
  if constexpr (kSlot == 0) {
    _tile_zero(0);
    _tile_loadd(4, weights, kTileRowBytes);
    _tile_loadd(6, tokens, kBlock);
    if constexpr (kUnsigned) {
      _tile_dpbsud(0, 6, 4);
    } else {
      _tile_dpbssd(0, 6, 4);
    }
    _tile_stored(0, products, kTileRowBytes);
  } else {
    _tile_zero(1);
    _tile_loadd(5, weights, kTileRowBytes);
    _tile_loadd(7, tokens, kBlock);
    if constexpr (kUnsigned) {
      _tile_dpbsud(1, 7, 5);
    } else {
      _tile_dpbssd(1, 7, 5);
    }
    _tile_stored(1, products, kTileRowBytes);
  }
}

template <typename Format>
class TilePanel {
  using S = Avx512;
  using Reader = CodeReader<S, Format::kBits>;
  static_assert(Format::kHalves == 1);
  static constexpr bool kBias = Format::Scales::kBias;
  /// Codes of 8 bits from 0 on, which are stored less 128.
  static constexpr bool kUnsigned = Format::kBits == 8 && Format::kZero == -128;
  /// Blocks whose products are under way while those of the block before them are scaled.
  static constexpr std::int64_t kAhead = 2;

 public:
  static constexpr int kWords = 8;  // of four columns, in a block
  static constexpr int kGroups = 2;
  static constexpr std::int64_t kRows = kGroups * kGroupRows;
  static constexpr std::int64_t kBlocks = kPanelBytes / (kBlock * kRows);
  static constexpr std::int64_t kBlockBytes = Reader::kBlockBytes;
  static constexpr int kTokens = kTileTokens;
  static constexpr bool kWholeTiles = true;

  void unpack(const PackedRows& weights, std::int64_t group, int place, std::int64_t first,
              std::int64_t count) {
    unpack_group<S, Format>(weights, group, place, first, count, scales_,
                            [&](const Reader& reader, std::int64_t b, int) LATTICE_INLINE {
                              reader.each_word([&](auto word, S::Int codes) LATTICE_INLINE {
                                S::store_int(codes_[b][place][decltype(word)::value], weights_of(codes));
                              });
                            });
    in_memory(codes_);
  }

  template <int, int kUsed>
  void multiply(const Activation* x, std::int64_t first, std::int64_t count, float (*sums)[kRows]) const {
    for (int g = 0; g < kUsed; ++g) multiply_group(*x, g, first, count, sums);
  }

 private:
  using Products = std::int32_t[kTileTokens][kGroupRows];

  static S::Int weights_of(S::Int codes) {
    if constexpr (kUnsigned) {
      return S::xor_int(codes, S::set1_int(static_cast<std::int32_t>(0x80808080u)));
    } else if constexpr (Format::kZero == 0) {
      return codes;
    } else {
      return _mm512_sub_epi8(codes, S::set1_int(Format::kZero * 0x01010101));
    }
  }

  void multiply_group(const Activation& x, int g, std::int64_t first, std::int64_t count,
                      float (*sums)[kRows]) const {
    const std::int8_t* quants = x.tile_quants + first * kTileTokens * kBlock;
    const float* x_scales = x.tile_scales + first * kTileTokens;
    const float* x_inputs = x.tile_inputs + first * kTileTokens;
    S::Float totals[kTileTokens];
    // Indices are constants, so that sums are registers.
    const auto each_token = [](const auto& f) LATTICE_INLINE {
      unrolled<kTokens>([&](auto t) LATTICE_INLINE { f(decltype(t)::value); });
    };
    each_token([&](int t) LATTICE_INLINE { totals[t] = S::load(sums[t] + g * kGroupRows); });
    alignas(64) Products products[2 * kAhead];
    for (std::int64_t b = 0; b < count + kAhead; ++b) {
      if (b < count) start(quants + b * kTileTokens * kBlock, b, g, products[b % (2 * kAhead)]);
      const std::int64_t done = b - kAhead;
      if (done < 0) continue;
      const Products& of = products[done % (2 * kAhead)];
      const ScaleRegisters<S, 1> scales = scales_.of(done, g * static_cast<int>(kGroupRows));
      each_token([&](int t) LATTICE_INLINE {
        const S::Int own = S::load_bytes(reinterpret_cast<const std::byte*>(of[t]));
        const std::int64_t at = done * kTileTokens + t;
        totals[t] = add_scaled<S, kBias>(totals[t], &own, scales, x_scales[at], kBias ? x_inputs[at] : 0.0f);
      });
    }
    each_token([&](int t) LATTICE_INLINE { S::store(sums[t] + g * kGroupRows, totals[t]); });
  }

  LATTICE_INLINE void start(const std::int8_t* quants, std::int64_t b, int g, Products& products) const {
    const std::byte* codes = codes_[b][g][0];
    if (b % 2 == 0) {
      multiply_bytes<0, kUnsigned>(quants, codes, products);
    } else {
      multiply_bytes<1, kUnsigned>(quants, codes, products);
    }
  }

  alignas(64) std::byte codes_[kBlocks][kGroups][kWords][kTileRowBytes];
  PanelScales<S, 1, kBias, kBlocks, kRows> scales_;
};

/// The Product (kernels.h) of more than kStepTokens vectors.
template <typename Format>
void tile_prompt_product(const PackedRows& weights, std::int64_t first, std::int64_t last,
                         const Activation* x, std::int64_t tokens, float* y, std::int64_t stride) {
  const TilesInUse tiles(TilePanel<Format>::kWords);
  prompt_product<TilePanel<Format>>(weights, first, last, x, tokens, y, stride);
}

/// Kernels::widen, of what tiles take.
inline void widen_in_tiles(const Activation& x, std::int64_t blocks, const WidenedVector& to) {
  for (std::int64_t b = 0; b < blocks; ++b) {
    std::memcpy(to.tile_quants + b * kTileTokens * kBlock, x.quants + b * kBlock, kBlock);
    to.tile_scales[b * kTileTokens] = x.scales[b];
    to.tile_inputs[b * kTileTokens] = x.scales[b] * static_cast<float>(x.totals[b]);
  }
}

}  // namespace
}  // namespace lattice::cpu
