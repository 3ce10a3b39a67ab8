// What panels (prompt_products.h) of weights that meet int8 activations share, whatever the products are
// added up with. Included by the files of instruction sets, so everything is in an anonymous namespace; S is
// the set's description (simd_*.h). A block's sums are integers and exact, so that a prompt's products are
// those of single steps, bit for bit.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/weight_codes.h"

namespace lattice::cpu {
namespace {

/// Four bytes in every lane.
template <typename S>
typename S::Int four_bytes(const void* from) {
  std::int32_t four;
  std::memcpy(&four, from, sizeof four);
  return S::set1_int(four);
}

/// The scales of a panel's blocks, as floats.
template <typename S, int kHalves_, bool kBias_, std::int64_t kBlocks, std::int64_t kRows>
class PanelScales {
 public:
  static constexpr int kHalves = kHalves_;
  static constexpr bool kBias = kBias_;

  template <typename Scales>
  void unpack(const PackedRows& weights, std::int64_t group, int place, std::int64_t first,
              std::int64_t count) {
    const std::int64_t row = place * kGroupRows;
    for (std::int64_t b = 0; b < count; ++b) {
      for (int lane = 0; lane < kGroupRows; lane += S::kLanes) {
        ScaleRegisters<S, kHalves> scales;
        Scales::load(weights, {group, first + b}, lane, scales);
        for (int half = 0; half < kHalves; ++half)
          S::store(scales_[b][half] + row + lane, scales.scale[half]);
        if constexpr (kBias) S::store(biases_[b] + row + lane, scales.bias);
      }
    }
  }
  [[nodiscard]] ScaleRegisters<S, kHalves> of(std::int64_t block, int row) const {
    ScaleRegisters<S, kHalves> scales;
    for (int half = 0; half < kHalves; ++half) scales.scale[half] = S::load(scales_[block][half] + row);
    if constexpr (kBias) scales.bias = S::load(biases_[block] + row);
    return scales;
  }

 private:
  alignas(64) float scales_[kBlocks][kHalves][kRows];
  alignas(64) float biases_[kBias ? kBlocks : 1][kRows];
};

/// A panel's unpack(): the scales of the `place`-th group, and unpack(reader, b, v) for each of `count`
/// blocks of the group from `first` on, v being the panel's register of rows that the reader reads.
template <typename S, typename Format, typename Scales, typename Unpack>
LATTICE_INLINE inline void unpack_group(const PackedRows& weights, std::int64_t group, int place,
                                        std::int64_t first, std::int64_t count, Scales& scales,
                                        const Unpack& unpack) {
  using Reader = CodeReader<S, Format::kBits>;
  scales.template unpack<typename Format::Scales>(weights, group, place, first, count);
  const std::byte* words = weights.quants + (group * weights.blocks + first) * Reader::kBlockBytes;
  for (std::int64_t b = 0; b < count; ++b, words += Reader::kBlockBytes) {
    for (int v = 0; v < kVectorsOf<S, 1>; ++v)
      unpack(Reader(words + v * S::kLanes * 4), b, place * kVectorsOf<S, 1> + v);
  }
}

/// Numbers from a block of a token to its next, where blocks of kInterleaved tokens stand in turn.
constexpr std::int64_t kTileBlock = kInterleaved * kBlock;

/// Kernels::widen; kWide: whether 16-bit numbers are wanted.
template <bool kWide>
void widen(const Activation& x, std::int64_t blocks, const WidenedVector& to) {
  const std::int8_t* quants = x.quants;
  for (std::int64_t b = 0; b < blocks; ++b) {
    std::uint8_t* turned = to.turned + b * kTileBlock;
    std::int16_t* wide = kWide ? to.wide + b * kTileBlock : nullptr;
    for (std::int64_t i = 0; i < kBlock; ++i, ++quants) {
      turned[i] = static_cast<std::uint8_t>(*quants + 128);
      if constexpr (kWide) wide[i] = static_cast<std::int16_t>(turned[i] - 128);
    }
    to.inputs[b] = x.scales[b] * static_cast<float>(x.totals[b]);
  }
}

template <bool kWide>
void add_widen(Kernels& table) noexcept {
  table.widen = widen<kWide>;
  table.prompt_forms = {.turned = true, .wide = kWide};
}

}  // namespace
}  // namespace lattice::cpu
