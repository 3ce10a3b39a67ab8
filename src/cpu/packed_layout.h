#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cpu/kernels/kernels.h"

namespace lattice::cpu {

/// What stands where in packed weights (PackedRows), one number at a time: for packing, for taking a row out
/// again, and for the portable kernels.
struct PackedLayout {
  enum class Scales : std::uint8_t { kNone, kPerBlock, kPerSuper, kPerHalf, kPerPair };
  int bits;  ///< of a stored number
  bool coded;
  int zero;  ///< of codes: a weight is scale · (code − zero) + bias
  Scales scales;
};

[[nodiscard]] const PackedLayout& layout_of(PackedFormat format) noexcept;

/// Bytes of a group of rows: without its scales, and its scales alone.
[[nodiscard]] std::int64_t group_quant_bytes(PackedFormat format, std::int64_t blocks) noexcept;
[[nodiscard]] std::int64_t group_scale_bytes(PackedFormat format, std::int64_t blocks,
                                             int pair_shift) noexcept;

/// Where the first word of a row's block is.
[[nodiscard]] std::int64_t quant_offset(PackedFormat format, std::int64_t blocks, std::int64_t row,
                                        std::int64_t block) noexcept;
/// Where a row's scale of a block is, or the scale of its first half: binary16 for Q8_0, Q4_0 and Q5_0, a
/// pair's scale for affine formats, one byte for K-quants. The super-block's d is at super_offset().
[[nodiscard]] std::int64_t scale_offset(const PackedRows& rows, PackedFormat format, std::int64_t row,
                                        std::int64_t block) noexcept;
[[nodiscard]] std::int64_t super_offset(const PackedRows& rows, PackedFormat format, std::int64_t row,
                                        std::int64_t block) noexcept;

/// Writes a row's 32 codes of `bits` bits. `block` is at quant_offset().
void store_codes(int bits, std::span<const std::uint8_t, kBlock> codes, std::byte* block) noexcept;
/// The code of column c, as stored: with a sign where it has 8 bits.
[[nodiscard]] int code_at(int bits, const std::byte* block, std::int64_t c) noexcept;

/// A weight is scale · (code − zero) + bias.
struct WeightScale {
  float scale;
  float bias;
};
/// That of row `row` in half `half` of a block.
[[nodiscard]] WeightScale weight_scale(const PackedRows& rows, PackedFormat format, std::int64_t row,
                                       std::int64_t block, int half) noexcept;

}  // namespace lattice::cpu
