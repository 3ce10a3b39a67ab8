#pragma once

#include <optional>
#include <span>

#include "cpu/kernels/kernels.h"
#include "quant/matrix_view.h"

namespace lattice::cpu {

/// How `parts`, which become one matrix, are packed without a change to any weight; nothing where their
/// formats differ or the kernels know no such format.
[[nodiscard]] std::optional<PackedFormat> native_format(std::span<const MatrixView> parts) noexcept;

/// The base-2 logarithm of the blocks that share a pair of an affine matrix, Q4_1 and Q5_1 among them.
[[nodiscard]] int pair_shift_of(const MatrixView& matrix) noexcept;

/// Where a packed matrix is written to.
struct PackedTarget {
  PackedFormat format;
  const PackedRows& rows;  ///< whose memory it is
  std::byte* quants;
  std::byte* scales;
};

/// Packs row `from` of `matrix`, in a quantised format, as row `row` of the target.
void pack_coded_row(const MatrixView& matrix, std::int64_t from, const PackedTarget& target,
                    std::int64_t row);

}  // namespace lattice::cpu
