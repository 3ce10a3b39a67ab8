#pragma once

#include <cstdint>
#include <functional>

#include "gpu/device_matrix.h"

namespace lattice::gpu {

/// Which GEMV multiplies a matrix, and its function constants.
struct GemvShape {
  std::uint32_t rows = 8;   ///< of a simdgroup: 1, 2, 4 or 8 (SwiGLU wants an even number); of bytes 16 or 32
  std::uint32_t split = 1;  ///< simdgroups that share a row's columns
  std::uint32_t simdgroups = 1;  ///< of a threadgroup, a multiple of `split`, at most 16
  std::uint32_t unroll = 1;      ///< chunks of a row that a lane loads together: 1, 2 or 4; of bytes 1 to 8
  /// Of floats: load the next weights before multiplying the present ones. Of an input in planes: load it
  /// with the weights that it meets, not when they are multiplied.
  bool ahead = false;
  bool bytes = false;  ///< products of integers (gemv_bytes.metal), of matrices in tiles and of no others
  /// Of `bytes`: with an input in planes (gemv_planes.metal), where who makes it can leave them.
  bool planes = false;
  /// Threadgroups that a core holds at a time, for which the compiler saves registers; 1: it may take all, so
  /// that loads come early; 0: as it comes.
  std::uint32_t resident = 0;
};

/// Whether the input that so many chunks meet fits the GEMV's stage.
[[nodiscard]] bool fits_stage(const GemvShape& shape, DType format) noexcept;
/// Whether a matrix's rows need more than one stage.
[[nodiscard]] bool exceeds_stage(const GemvShape& shape, const DeviceMatrix& matrix) noexcept;

/// What suits a matrix on a device of so many cores: see docs/optimizations.md for how it was found. 0 cores
/// (Device::cores()): what suits a processor where every thread and every simdgroup operation costs the same.
[[nodiscard]] GemvShape choose_gemv_shape(std::uint32_t cores, const DeviceMatrix& matrix);

/// In the place of choose_gemv_shape(), to find what it should return.
using GemvChooser = std::function<GemvShape(const DeviceMatrix& matrix)>;

// What a shape comes to.

/// Chunks of a row that a threadgroup meets before it looks for more.
[[nodiscard]] std::uint32_t round_chunks(const GemvShape& shape) noexcept;
/// Chunks of a row whose input is staged together.
[[nodiscard]] std::uint32_t stage_chunks(const GemvShape& shape, DType format) noexcept;
[[nodiscard]] std::uint32_t gemv_threadgroups(const GemvShape& shape, const DeviceMatrix& matrix) noexcept;

}  // namespace lattice::gpu
