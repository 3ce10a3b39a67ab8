#pragma once

#include <cstdint>
#include <span>

#include "cpu/aligned_memory.h"
#include "cpu/kernels/kernels.h"
#include "quant/matrix_view.h"
#include "support/thread_pool.h"

namespace lattice::cpu {

/// A weight matrix in the order in which the kernels read it (PackedRows), in one of the packed formats
/// (quant/linear_row.h).
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Packs `parts`, whose rows are taken in turn: one matrix as it is, or gate and up row by row. All have
  /// the same shape.
  PackedMatrix(std::span<const MatrixView> parts, bool exact, ThreadPool& pool);

  [[nodiscard]] const PackedRows& rows() const noexcept { return view_; }
  [[nodiscard]] DType format() const noexcept { return format_; }
  [[nodiscard]] std::int64_t groups() const noexcept { return (view_.rows + kGroupRows - 1) / kGroupRows; }
  /// Bytes that one group of rows takes, scales included.
  [[nodiscard]] std::int64_t group_bytes() const noexcept;
  /// True for the formats that multiply in integers unless told otherwise.
  [[nodiscard]] bool is_quantised() const noexcept {
    return format_ == DType::kQ8_0 || format_ == DType::kQ4_0;
  }
  /// Row `row` as floats; out has at least the matrix's columns.
  void unpack_row(std::int64_t row, std::span<float> out) const;

 private:
  [[nodiscard]] std::int64_t scale_index(std::int64_t row, std::int64_t block) const noexcept;
  template <typename Copy>
  void copy_words(std::int64_t row, std::int64_t block, const Copy& copy) const;

  DType format_ = DType::kF32;
  std::int64_t cols_ = 0;
  PackedRows view_;
  AlignedMemory quants_;
  AlignedMemory scales_;
};

/// The product for weights of `format` in `table`; `exact` keeps activations in float.
[[nodiscard]] Product product_for(const Kernels& table, DType format, bool exact) noexcept;

}  // namespace lattice::cpu
