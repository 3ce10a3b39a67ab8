#include "quant/affine.h"

#include <cstring>

#include "quant/blocks.h"

namespace lattice {
namespace {

/// Element `index` of an array of F32, F16 or BF16.
float scale_at(DType type, const std::byte* array, std::int64_t index) {
  float value = 0;
  dequantize_blocks(type, array + index * block_bytes(type), {&value, 1});
  return value;
}

}  // namespace

// Widths of 3, 5 and 6 cross from one byte into the next.
std::uint32_t affine_code(const std::byte* row, std::int64_t column, int bits) noexcept {
  const std::int64_t byte = column * bits / 8;
  const int shift = static_cast<int>(column * bits % 8);
  auto word = static_cast<std::uint32_t>(row[byte]);
  if (shift + bits > 8) word |= static_cast<std::uint32_t>(row[byte + 1]) << 8;
  return (word >> shift) & ((1u << bits) - 1u);
}

void dequantize_affine_row(const MatrixView& matrix, std::int64_t row, std::span<float> out) {
  const AffineGroups& groups = matrix.affine;
  const std::int64_t groups_per_row = matrix.cols / groups.group_size;
  const std::byte* packed = matrix.data + row * matrix.row_bytes();
  for (std::int64_t group = 0; group < groups_per_row; ++group) {
    const float scale = scale_at(groups.scale_type, groups.scales, row * groups_per_row + group);
    const float bias = scale_at(groups.scale_type, groups.biases, row * groups_per_row + group);
    for (std::int64_t c = group * groups.group_size; c < (group + 1) * groups.group_size; ++c) {
      const std::uint32_t q = affine_code(packed, c, groups.bits);
      out[static_cast<std::size_t>(c)] = scale * static_cast<float>(q) + bias;
    }
  }
}

}  // namespace lattice
