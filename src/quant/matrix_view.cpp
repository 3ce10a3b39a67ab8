#include "quant/matrix_view.h"

#include "quant/affine.h"
#include "quant/blocks.h"

namespace lattice {

std::int64_t MatrixView::row_bytes() const noexcept {
  if (dtype == DType::kAffine) return cols * affine.bits / 8;
  return cols / block_elements(dtype) * block_bytes(dtype);
}

std::int64_t MatrixView::total_bytes() const noexcept {
  if (dtype != DType::kAffine) return rows * row_bytes();
  const std::int64_t groups = cols / affine.group_size;
  return rows * (row_bytes() + 2 * groups * block_bytes(affine.scale_type));
}

MatrixView MatrixView::row_slice(std::int64_t first, std::int64_t count) const noexcept {
  MatrixView slice = *this;
  slice.rows = count;
  slice.data += first * row_bytes();
  if (dtype == DType::kAffine) {
    const std::int64_t group_bytes = cols / affine.group_size * block_bytes(affine.scale_type);
    slice.affine.scales += first * group_bytes;
    slice.affine.biases += first * group_bytes;
  }
  return slice;
}

void dequantize_row(const MatrixView& matrix, std::int64_t row, std::span<float> out) {
  if (matrix.dtype == DType::kAffine) return dequantize_affine_row(matrix, row, out);
  dequantize_blocks(matrix.dtype, matrix.data + row * matrix.row_bytes(), out);
}

}  // namespace lattice
