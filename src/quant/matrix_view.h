#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/dtype.h"

namespace lattice {

/// The side arrays of an MLX affine matrix: w = scale · q + bias, one pair a group of `group_size` columns.
struct AffineGroups {
  int bits = 0;                       ///< 2, 3, 4, 5, 6 or 8
  int group_size = 0;                 ///< 32, 64 or 128
  DType scale_type = DType::kBF16;    ///< kF16, kBF16 or kF32, of both arrays
  const std::byte* scales = nullptr;  ///< [rows, cols / group_size]
  const std::byte* biases = nullptr;  ///< [rows, cols / group_size]
};

/// A weight matrix as its file stores it: `rows` × `cols`, row-major, y = W x with x of `cols` elements.
/// Points into the mapped checkpoint and owns nothing. Readers have checked that every byte it names is
/// there.
struct MatrixView {
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const std::byte* data = nullptr;
  AffineGroups affine;  ///< used by kAffine alone

  /// Bytes from one row to the next in `data`.
  [[nodiscard]] std::int64_t row_bytes() const noexcept;
  /// Bytes that reading the whole matrix takes, scales and biases included.
  [[nodiscard]] std::int64_t total_bytes() const noexcept;
  /// The matrix of `count` rows from `first` on.
  [[nodiscard]] MatrixView row_slice(std::int64_t first, std::int64_t count) const noexcept;
};

/// Writes row `row` of `matrix` to out[0 … cols). Every format. Values are those of the format's reference
/// dequantiser, in float arithmetic of the same order.
void dequantize_row(const MatrixView& matrix, std::int64_t row, std::span<float> out);

}  // namespace lattice
