#pragma once

#include <cstdint>
#include <span>

#include "cpu/aligned_memory.h"
#include "cpu/kernels/kernels.h"
#include "quant/linear_row.h"
#include "quant/matrix_view.h"
#include "support/thread_pool.h"

namespace lattice::cpu {

/// A weight matrix in the order in which the kernels read it (PackedRows). Formats that the kernels know stay
/// what they are, to the bit; others become F16, or F32 where F16 does not hold them or `exact` is asked for
/// (quant/linear_row.h, packed_format()).
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Packs `parts`, whose rows are taken in turn: one matrix as it is, or gate and up row by row. All have
  /// the same shape. Takes its memory from `arena`.
  PackedMatrix(std::span<const MatrixView> parts, bool exact, ThreadPool& pool, PageArena& arena);

  [[nodiscard]] const PackedRows& rows() const noexcept { return view_; }
  [[nodiscard]] PackedFormat format() const noexcept { return format_; }
  [[nodiscard]] std::int64_t groups() const noexcept { return (view_.rows + kGroupRows - 1) / kGroupRows; }
  /// Bytes that one group of rows takes, scales included.
  [[nodiscard]] std::int64_t group_bytes() const noexcept;
  /// True for the formats that multiply in integers unless told otherwise.
  [[nodiscard]] bool is_quantised() const noexcept { return view_.scales != nullptr; }
  /// Asks for the weights of `group` that a product which begins there would come to before those that it
  /// asks for itself (PackedRows::ahead).
  void ask_for(std::int64_t group) const noexcept;
  /// Row `row` as floats; out has at least the matrix's columns.
  void unpack_row(std::int64_t row, std::span<float> out) const;

 private:
  void pack_floats(const LinearRow& linear, DType as, std::int64_t row);
  template <typename Copy>
  void copy_words(std::int64_t row, std::int64_t block, const Copy& copy) const;

  PackedFormat format_ = PackedFormat::kF32;
  std::int64_t cols_ = 0;
  PackedRows view_;
  AlignedMemory quants_;
  AlignedMemory scales_;
};

/// The product for weights of `format` in `table`; `exact` keeps activations in float.
[[nodiscard]] Product product_for(const Kernels& table, PackedFormat format, bool exact) noexcept;

}  // namespace lattice::cpu
