#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quant/matrix_view.h"
#include "support/thread_pool.h"

namespace lattice {

/// Columns that repacked matrices keep together: the quantised formats' block.
inline constexpr std::int64_t kPackedBlock = 32;

/// The format in which a backend keeps a matrix made of the rows of `parts`. F32, F16, BF16, Q8_0 and Q4_0
/// stay what they are where all parts have the same. Anything else becomes F16, which holds every value of
/// the block formats to 11 bits, finer than any of their scales' steps; or F32 where a weight is beyond
/// F16's range, or where even that rounding is not wanted (`exact`).
[[nodiscard]] DType packed_format(std::span<const MatrixView> parts, bool exact, ThreadPool& pool);

/// Bytes of kPackedBlock columns of a row in a packed format, without scales.
[[nodiscard]] std::int64_t packed_block_bytes(DType format) noexcept;

/// Whether a packed format keeps a scale for each block.
[[nodiscard]] constexpr bool has_block_scales(DType format) noexcept {
  return format == DType::kQ8_0 || format == DType::kQ4_0;
}

/// A row of a matrix in a packed format: whole blocks, the last one padded with zeros, scales apart.
struct LinearRow {
  std::vector<std::byte> quants;      // packed_block_bytes(format) for each block
  std::vector<std::uint16_t> scales;  // binary16, one a block; meaningful where has_block_scales(format)

  /// Takes row `row` of `matrix`, converted to `format` where it is stored in another.
  void fill(const MatrixView& matrix, std::int64_t row, DType format);

 private:
  std::vector<float> floats_;
};

}  // namespace lattice
