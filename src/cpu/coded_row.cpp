#include "cpu/coded_row.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cpu/packed_layout.h"
#include "quant/affine.h"
#include "quant/blocks.h"
#include "quant/k_scales.h"

namespace lattice::cpu {
namespace {

using Codes = std::array<std::uint8_t, kBlock>;

unsigned u8(std::byte b) {
  return static_cast<unsigned>(b);
}

/// 32 codes of four bits: byte j has element j in its low nibble and j + 16 in its high one.
void read_nibbles(const std::byte* in, Codes& out) {
  for (std::size_t j = 0; j < 16; ++j) {
    out[j] = static_cast<std::uint8_t>(u8(in[j]) & 15);
    out[j + 16] = static_cast<std::uint8_t>(u8(in[j]) >> 4);
  }
}

/// Bit j of four bytes is the fifth bit of code j.
void add_fifth_bits(const std::byte* in, Codes& out) {
  for (std::size_t j = 0; j < 32; ++j)
    out[j] = static_cast<std::uint8_t>(out[j] | ((u8(in[j / 8]) >> (j % 8)) & 1) << 4);
}

/// The codes of sub-block j of a super-block of Q4_K or Q5_K.
void read_k_nibbles(const std::byte* qs, int j, Codes& out) {
  const std::byte* in = qs + 32 * (j / 2);
  for (std::size_t i = 0; i < 32; ++i) out[i] = static_cast<std::uint8_t>((u8(in[i]) >> (4 * (j % 2))) & 15);
}

void read_q6_k(const std::byte* super, int j, Codes& out) {
  const int quarter = j % 4;
  const std::byte* ql = super + 64 * (j / 4) + 32 * (quarter % 2);
  const std::byte* qh = super + 128 + 32 * (j / 4);
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned nibble = (u8(ql[i]) >> (4 * (quarter / 2))) & 15;
    out[i] = static_cast<std::uint8_t>(nibble | ((u8(qh[i]) >> (2 * quarter)) & 3) << 4);
  }
}

/// One row on its way from a file's format into a packed one.
class RowPacker {
 public:
  RowPacker(const MatrixView& matrix, std::int64_t from, const PackedTarget& target, std::int64_t row)
      : matrix_(matrix),
        in_(matrix.data + from * matrix.row_bytes()),
        from_(from),
        target_(target),
        row_(row) {}

  void block(std::int64_t b) {
    Codes codes;
    read(b, codes);
    store_codes(layout_of(target_.format).bits, codes,
                target_.quants + quant_offset(target_.format, target_.rows.blocks, row_, b));
  }

 private:
  void read(std::int64_t b, Codes& codes) {
    const std::byte* in = in_ + b * block_bytes(matrix_.dtype);  // of the formats with blocks of 32
    const std::byte* super = in_ + b / kSuperBlocks * block_bytes(matrix_.dtype);
    const auto j = static_cast<int>(b % kSuperBlocks);
    switch (matrix_.dtype) {
      case DType::kQ8_0:
        copy(in, 2, scale(b));
        std::memcpy(codes.data(), in + 2, kBlock);
        return;
      case DType::kQ4_0:
        copy(in, 2, scale(b));
        return read_nibbles(in + 2, codes);
      case DType::kQ5_0:
        copy(in, 2, scale(b));
        read_nibbles(in + 6, codes);
        return add_fifth_bits(in + 2, codes);
      case DType::kQ4_1:
        store_pair(in, in + 2, b);
        return read_nibbles(in + 4, codes);
      case DType::kQ5_1:
        store_pair(in, in + 2, b);
        read_nibbles(in + 8, codes);
        return add_fifth_bits(in + 4, codes);
      case DType::kQ4_K:
        store_k_scales(super, b);
        return read_k_nibbles(super + 16, j, codes);
      case DType::kQ5_K:
        store_k_scales(super, b);
        read_k_nibbles(super + 48, j, codes);
        for (std::size_t i = 0; i < 32; ++i)
          codes[i] = static_cast<std::uint8_t>(codes[i] | ((u8(super[16 + i]) >> j) & 1) << 4);
        return;
      case DType::kQ6_K:
        copy(super + 208, 2, at_super(b));
        for (int half = 0; half < 2; ++half) scale(b)[half * kGroupRows] = super[192 + 2 * j + half];
        return read_q6_k(super, j, codes);
      default:
        return read_affine(b, codes);
    }
  }

  void read_affine(std::int64_t b, Codes& codes) {
    const AffineGroups& groups = matrix_.affine;
    const std::int64_t group = (from_ * matrix_.cols + b * kBlock) / groups.group_size;
    store_pair(groups.scales + 2 * group, groups.biases + 2 * group, b);
    for (std::int64_t c = 0; c < kBlock; ++c) {
      const std::uint32_t code = affine_code(in_, b * kBlock + c, groups.bits);
      codes[static_cast<std::size_t>(c)] =
          static_cast<std::uint8_t>(groups.bits == 8 ? code ^ 0x80u : code);  // a signed byte: less 128
    }
  }

  void store_k_scales(const std::byte* super, std::int64_t b) {
    copy(super, 2, at_super(b));
    copy(super + 2, 2, at_super(b) + 2 * kGroupRows);
    const KScale own = k_scale(super + 4, static_cast<int>(b % kSuperBlocks));
    scale(b)[0] = static_cast<std::byte>(own.scale);
    scale(b)[kGroupRows] = static_cast<std::byte>(own.min);
  }

  void store_pair(const std::byte* factor, const std::byte* bias, std::int64_t b) {
    copy(factor, 2, scale(b));
    copy(bias, 2, scale(b) + 2 * kGroupRows);
  }

  static void copy(const std::byte* from, std::size_t bytes, std::byte* to) { std::memcpy(to, from, bytes); }
  [[nodiscard]] std::byte* scale(std::int64_t b) const {
    return target_.scales + scale_offset(target_.rows, target_.format, row_, b);
  }
  [[nodiscard]] std::byte* at_super(std::int64_t b) const {
    return target_.scales + super_offset(target_.rows, target_.format, row_, b);
  }

  const MatrixView& matrix_;
  const std::byte* in_;  // the row
  std::int64_t from_;
  const PackedTarget& target_;
  std::int64_t row_;
};

std::optional<PackedFormat> affine_format(const MatrixView& matrix) noexcept {
  if (matrix.affine.scale_type == DType::kF32) return std::nullopt;
  switch (matrix.affine.bits) {
    case 4:
      return PackedFormat::kAffine4;
    case 5:
      return PackedFormat::kAffine5;
    case 6:
      return PackedFormat::kAffine6;
    case 8:
      return PackedFormat::kAffine8;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<PackedFormat> native_format(std::span<const MatrixView> parts) noexcept {
  const MatrixView& first = parts.front();
  const bool same = std::ranges::all_of(parts, [&](const MatrixView& part) {
    return part.dtype == first.dtype &&
           (first.dtype != DType::kAffine ||
            (part.affine.bits == first.affine.bits && part.affine.group_size == first.affine.group_size &&
             part.affine.scale_type == first.affine.scale_type));
  });
  if (!same) return std::nullopt;
  switch (first.dtype) {
    case DType::kF32:
      return PackedFormat::kF32;
    case DType::kF16:
      return PackedFormat::kF16;
    case DType::kBF16:
      return PackedFormat::kBF16;
    case DType::kQ8_0:
      return PackedFormat::kQ8_0;
    case DType::kQ4_0:
      return PackedFormat::kQ4_0;
    case DType::kQ5_0:
      return PackedFormat::kQ5_0;
    case DType::kQ4_1:
      return PackedFormat::kAffine4;
    case DType::kQ5_1:
      return PackedFormat::kAffine5;
    case DType::kQ4_K:
      return PackedFormat::kQ4_K;
    case DType::kQ5_K:
      return PackedFormat::kQ5_K;
    case DType::kQ6_K:
      return PackedFormat::kQ6_K;
    case DType::kAffine:
      return affine_format(first);
    default:
      return std::nullopt;
  }
}

int pair_shift_of(const MatrixView& matrix) noexcept {
  if (matrix.dtype != DType::kAffine) return 0;
  return std::countr_zero(static_cast<unsigned>(matrix.affine.group_size / kBlock));
}

void pack_coded_row(const MatrixView& matrix, std::int64_t from, const PackedTarget& target,
                    std::int64_t row) {
  RowPacker packer(matrix, from, target, row);
  for (std::int64_t b = 0; b < target.rows.blocks; ++b) packer.block(b);
}

}  // namespace lattice::cpu
