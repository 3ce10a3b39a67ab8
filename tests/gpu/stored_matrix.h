#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpu/kernel_run.h"
#include "quant/blocks.h"
#include "quant/matrix_view.h"

namespace lattice::gpu {

/// A matrix as a checkpoint stores it.
struct StoredMatrix {
  StoredMatrix(DType type, std::int64_t rows, std::int64_t cols, Random& random)
      : bytes(static_cast<std::size_t>(rows * cols / block_elements(type) * block_bytes(type))),
        view{type, rows, cols, bytes.data(), {}} {
    quantize_blocks(type, random.floats(static_cast<std::size_t>(rows * cols)), bytes.data());
  }
  StoredMatrix(const StoredMatrix&) = delete;
  StoredMatrix& operator=(const StoredMatrix&) = delete;

  [[nodiscard]] std::vector<float> row(std::int64_t index) const {
    std::vector<float> out(static_cast<std::size_t>(view.cols));
    dequantize_row(view, index, out);
    return out;
  }

  std::vector<std::byte> bytes;
  MatrixView view;
};

/// Σ w·x of one row and one token, in double precision.
inline double product(const std::vector<float>& row, std::span<const float> x) {
  double sum = 0;
  for (std::size_t i = 0; i < row.size(); ++i) sum += double{row[i]} * x[i];
  return sum;
}

/// The formats that kernels have.
inline constexpr DType kFormats[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

inline bool is_block(DType type) {
  return block_elements(type) > 1;
}

}  // namespace lattice::gpu
