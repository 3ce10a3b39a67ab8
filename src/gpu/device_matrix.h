#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "quant/matrix_view.h"
#include "support/thread_pool.h"

namespace lattice::gpu {

/// A weight matrix in device memory, as kernels/formats.h has it: quants [rows, row_chunks] of 16 bytes, and
/// for the quantised formats scales [rows, row_blocks]; or the same in tiles.
struct DeviceMatrix {
  DType format = DType::kF32;
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  std::uint32_t row_chunks = 0;
  std::uint32_t row_blocks = 0;
  /// Of four chunks, where rows lie in tiles (kernels/tiles.h), as gemv_bytes.metal wants them; 0 where they
  /// follow one another.
  std::uint32_t row_groups = 0;
  std::unique_ptr<Buffer> quants;
  std::unique_ptr<Buffer> scales;  // null where the format has none
  /// The power of two with which the largest weight that the scales allow is between 2¹⁴ and 2¹⁵: weights
  /// times this neither overflow half nor lose there what matters.
  float half_factor = 1;

  [[nodiscard]] bool is_tiled() const noexcept { return row_groups != 0; }
};

/// Whether gemv_bytes.metal has a format, of matrices in tiles.
[[nodiscard]] constexpr bool has_byte_gemv(DType format) noexcept {
  return format == DType::kQ8_0 || format == DType::kQ4_0;
}

/// A matrix without its memory; in tiles where that is wanted and gemv_bytes.metal has the format.
[[nodiscard]] DeviceMatrix shaped_matrix(DType format, std::int64_t rows, std::int64_t cols, bool tiled);

/// "q8_0" and the like: what the names of the format's kernels end in.
[[nodiscard]] std::string kernel_suffix(DType format);

/// Columns of a 16-byte chunk.
[[nodiscard]] std::uint32_t chunk_cols(DType format) noexcept;

/// Repacks matrices and moves them to a device.
struct MatrixPacker {
  Device& device;
  ThreadPool& pool;
  bool exact;           ///< see packed_format()
  bool mapped = false;  ///< matrices lie in mapped files that outlive the device's work with them
  bool tiled = device.multiplies_bytes();  ///< matrices of has_byte_gemv() formats are laid out in tiles

  /// One matrix of the rows of `parts`, all of the same shape, in turn: row i of the first, of the second, ….
  [[nodiscard]] DeviceMatrix in_turn(std::span<const MatrixView> parts) const;
  /// One matrix. A mapped one that lies as the kernels want it stays where it is, if the device can read it
  /// there.
  [[nodiscard]] DeviceMatrix one(const MatrixView& matrix) const;
  /// Matrices of the rows of `parts` one after the other: parts that are neighbours and share a packed format
  /// become one. All have the same columns.
  [[nodiscard]] std::vector<DeviceMatrix> stacked(std::span<const MatrixView> parts) const;

 private:
  struct RowSource {
    const MatrixView* matrix;
    std::int64_t row;
  };
  [[nodiscard]] DeviceMatrix pack(DType format, std::span<const RowSource> rows) const;
};

}  // namespace lattice::gpu
