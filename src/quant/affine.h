#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/matrix_view.h"

namespace lattice {

/// Row `row` of an MLX affine matrix: w = scale · q + bias, q unsigned, lowest bits first in a little-endian
/// stream of bits (ml-explore/mlx mlx/backend/metal/kernels/quantized.h, dequantize). matrix.cols is a
/// multiple of the group size.
void dequantize_affine_row(const MatrixView& matrix, std::int64_t row, std::span<float> out);

/// The code of `bits` bits of column `column` in an affine matrix's packed row.
[[nodiscard]] std::uint32_t affine_code(const std::byte* row, std::int64_t column, int bits) noexcept;

}  // namespace lattice
