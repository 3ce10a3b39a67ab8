#include "gpu/gemv_shape.h"

#include <algorithm>
#include <array>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {
namespace {

/// Lanes of a simdgroup that meet chunks of one row.
std::uint32_t row_lanes(const GemvShape& shape) {
  constexpr std::uint32_t kByteTile = 4;
  return shape.bytes ? kByteTile : kSimdWidth;
}

/// Chunks of a row that a lane meets.
std::uint32_t lane_chunks(const GemvShape& shape, const DeviceMatrix& matrix) {
  return ceil_div(matrix.row_chunks, shape.split * kSimdWidth);
}

bool occupies(const GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t cores) {
  return gemv_threadgroups(shape, matrix) * 10 >= cores * 9;
}

/// Rows split until every core has some.
void split_rows(GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t cores) {
  while (shape.split < shape.simdgroups && !occupies(shape, matrix, cores) &&
         2 * shape.split * kSimdWidth <= matrix.row_chunks &&
         2 * shape.split * kSimdWidth * chunk_cols(matrix.format) <= LATTICE_STAGE_COLS) {
    shape.split *= 2;
  }
}

/// As many loads a lane as its chunks allow, and no more than `most`.
void unroll(GemvShape& shape, const DeviceMatrix& matrix, std::uint32_t most) {
  while (shape.unroll < most && shape.unroll < lane_chunks(shape, matrix)) shape.unroll *= 2;
  while (shape.unroll > 1 && !fits_stage(shape, matrix.format)) shape.unroll /= 2;
}

/// Enough loads a lane, and rows split until every core has some.
GemvShape choose_floats(std::uint32_t cores, const DeviceMatrix& matrix) {
  GemvShape shape{.rows = 4, .split = 1, .simdgroups = 8, .unroll = 1};
  split_rows(shape, matrix, cores);
  unroll(shape, matrix, matrix.cols > LATTICE_STAGE_COLS ? 2 : 4);
  return shape;
}

GemvShape byte_shape(std::uint32_t rows, std::uint32_t split, std::uint32_t simdgroups, std::uint32_t unroll,
                     std::uint32_t resident = 0) {
  return {.rows = rows,
          .split = split,
          .simdgroups = simdgroups,
          .unroll = unroll,
          .bytes = true,
          .resident = resident};
}

/// With an input in planes.
GemvShape plane_shape(std::uint32_t rows, std::uint32_t split, std::uint32_t simdgroups, std::uint32_t unroll,
                      std::uint32_t resident = 0) {
  GemvShape shape = byte_shape(rows, split, simdgroups, unroll, resident);
  shape.planes = true;
  return shape;
}
/// And with that asked for as early as the weights.
GemvShape ahead_shape(std::uint32_t rows, std::uint32_t split, std::uint32_t simdgroups, std::uint32_t unroll,
                      std::uint32_t resident = 0) {
  GemvShape shape = plane_shape(rows, split, simdgroups, unroll, resident);
  shape.ahead = true;
  return shape;
}

GemvShape float_shape(std::uint32_t rows, std::uint32_t simdgroups, std::uint32_t unroll) {
  return {.rows = rows, .split = 1, .simdgroups = simdgroups, .unroll = unroll};
}

/// What a search on an H200 found best (`gpu_step … tune`, docs/optimizations.md) for the matrices of the
/// released models. A few registers more in a kernel can cost a shape its second threadgroup a core, and with
/// it a tenth of the step: a change of the kernels asks for the search anew.
struct Measured {
  DType format;
  bool wide;                 // more rows than columns
  std::uint32_t row_chunks;  // of 16 bytes
  std::uint32_t core_rows;   // at least so many rows a core
  GemvShape shape;
};

constexpr std::uint32_t kHeadRows = 1024;  // a core: an output head

const std::array kMeasured = {
    Measured{DType::kQ8_0, true, 64, kHeadRows, plane_shape(32, 2, 4, 4)},
    Measured{DType::kQ8_0, true, 64, 50, plane_shape(32, 4, 16, 4, 1)},
    Measured{DType::kQ8_0, true, 64, 0, plane_shape(16, 8, 16, 2, 2)},
    Measured{DType::kQ8_0, true, 128, kHeadRows, plane_shape(32, 16, 16, 2)},
    Measured{DType::kQ8_0, true, 128, 80, plane_shape(32, 4, 16, 4)},
    Measured{DType::kQ8_0, true, 128, 50, ahead_shape(16, 8, 8, 2)},
    Measured{DType::kQ8_0, true, 128, 0, plane_shape(16, 4, 12, 8)},
    Measured{DType::kQ8_0, true, 160, kHeadRows, ahead_shape(16, 4, 16, 5)},
    Measured{DType::kQ8_0, true, 160, 110, ahead_shape(32, 2, 16, 4)},
    Measured{DType::kQ8_0, true, 160, 80, plane_shape(32, 5, 15, 2, 1)},
    Measured{DType::kQ8_0, true, 160, 0, plane_shape(32, 5, 15, 2, 1)},
    Measured{DType::kQ8_0, true, 256, kHeadRows, ahead_shape(32, 4, 12, 4)},
    Measured{DType::kQ8_0, true, 256, 110, plane_shape(32, 2, 12, 4, 1)},
    Measured{DType::kQ8_0, true, 256, 80, plane_shape(32, 4, 12, 4, 1)},
    Measured{DType::kQ8_0, true, 256, 0, ahead_shape(16, 2, 10, 8, 1)},
    Measured{DType::kQ8_0, true, 320, kHeadRows, plane_shape(32, 4, 16, 2)},
    Measured{DType::kQ8_0, true, 320, 200, plane_shape(32, 2, 12, 4, 1)},
    Measured{DType::kQ8_0, true, 320, 110, ahead_shape(32, 4, 4, 4)},
    Measured{DType::kQ8_0, true, 320, 0, ahead_shape(32, 4, 4, 4)},
    Measured{DType::kQ8_0, false, 128, 0, plane_shape(32, 16, 16, 2, 1)},
    Measured{DType::kQ8_0, false, 224, 0, plane_shape(32, 14, 14, 4, 1)},
    Measured{DType::kQ8_0, false, 256, 25, plane_shape(32, 16, 16, 4)},
    Measured{DType::kQ8_0, false, 256, 0, plane_shape(32, 16, 16, 4, 1)},
    Measured{DType::kQ8_0, false, 384, 30, ahead_shape(32, 8, 16, 3, 1)},
    Measured{DType::kQ8_0, false, 384, 0, ahead_shape(32, 12, 12, 4)},
    Measured{DType::kQ8_0, false, 576, 0, ahead_shape(32, 16, 16, 3, 1)},
    Measured{DType::kQ8_0, false, 768, 0, ahead_shape(32, 16, 16, 4, 1)},
    Measured{DType::kQ8_0, false, 1088, 0, plane_shape(16, 7, 14, 3, 2)},
    Measured{DType::kQ4_0, true, 32, kHeadRows, plane_shape(32, 2, 8, 4)},
    Measured{DType::kQ4_0, true, 32, 50, plane_shape(32, 4, 16, 2, 1)},
    Measured{DType::kQ4_0, true, 32, 0, plane_shape(32, 4, 12, 2, 1)},
    Measured{DType::kQ4_0, true, 64, kHeadRows, ahead_shape(16, 2, 8, 4)},
    Measured{DType::kQ4_0, true, 64, 80, plane_shape(32, 4, 8, 4, 2)},
    Measured{DType::kQ4_0, true, 64, 50, plane_shape(32, 4, 4, 4)},
    Measured{DType::kQ4_0, true, 64, 0, plane_shape(32, 8, 8, 2, 1)},
    Measured{DType::kQ4_0, true, 80, kHeadRows, ahead_shape(32, 2, 8, 2)},
    Measured{DType::kQ4_0, true, 80, 110, ahead_shape(32, 4, 8, 1)},
    Measured{DType::kQ4_0, true, 80, 80, ahead_shape(32, 5, 5, 2)},
    Measured{DType::kQ4_0, true, 80, 0, plane_shape(32, 5, 15, 2, 1)},
    Measured{DType::kQ4_0, true, 128, kHeadRows, plane_shape(16, 4, 8, 8)},
    Measured{DType::kQ4_0, true, 128, 110, plane_shape(32, 2, 12, 4, 1)},
    Measured{DType::kQ4_0, true, 128, 0, plane_shape(32, 4, 12, 2, 1)},
    Measured{DType::kQ4_0, true, 160, kHeadRows, ahead_shape(32, 4, 8, 2)},
    Measured{DType::kQ4_0, true, 160, 200, ahead_shape(32, 4, 8, 2)},
    Measured{DType::kQ4_0, true, 160, 110, ahead_shape(32, 4, 4, 2)},
    Measured{DType::kQ4_0, true, 160, 0, ahead_shape(16, 2, 14, 4, 1)},
    Measured{DType::kQ4_0, false, 64, 12, plane_shape(32, 8, 16, 2, 1)},
    Measured{DType::kQ4_0, false, 64, 0, plane_shape(32, 16, 16, 1, 1)},
    Measured{DType::kQ4_0, false, 112, 0, plane_shape(32, 14, 14, 2, 1)},
    Measured{DType::kQ4_0, false, 128, 25, plane_shape(32, 8, 16, 4, 1)},
    Measured{DType::kQ4_0, false, 128, 0, plane_shape(32, 8, 8, 4, 1)},
    Measured{DType::kQ4_0, false, 192, 30, plane_shape(32, 8, 16, 2, 1)},
    Measured{DType::kQ4_0, false, 192, 0, plane_shape(32, 8, 16, 3, 1)},
    Measured{DType::kQ4_0, false, 288, 0, ahead_shape(32, 12, 12, 2)},
    Measured{DType::kQ4_0, false, 384, 0, ahead_shape(32, 16, 16, 2)},
    Measured{DType::kQ4_0, false, 544, 0, plane_shape(32, 7, 14, 2, 1)},
    Measured{DType::kBF16, true, 320, kHeadRows, float_shape(4, 8, 4)},
    Measured{DType::kBF16, true, 320, 110, float_shape(2, 16, 2)},
    Measured{DType::kBF16, true, 320, 0, float_shape(4, 16, 2)},
};

/// The longest round of a moderate number of loads that fills rows without a remainder, where there is one.
GemvShape fill_rows(const DeviceMatrix& matrix, bool wide) {
  constexpr std::uint32_t kMostUnroll = 4;
  GemvShape best = byte_shape(16, 1, 8, 1);
  for (std::uint32_t split = 1; split <= (wide ? 4u : 8u); ++split) {
    for (std::uint32_t loads = 1; loads <= kMostUnroll; ++loads) {
      const GemvShape shape = byte_shape(16, split, 8 / split * split, loads);
      const std::uint32_t round = round_chunks(shape);
      if (matrix.row_chunks % round != 0 || round <= round_chunks(best)) continue;
      if (fits_stage(shape, matrix.format)) best = shape;
    }
  }
  best.planes = true;
  return best;
}

}  // namespace

std::uint32_t round_chunks(const GemvShape& shape) noexcept {
  return shape.split * shape.unroll * row_lanes(shape);
}

std::uint32_t stage_chunks(const GemvShape& shape, DType format) noexcept {
  const std::uint32_t most = LATTICE_STAGE_COLS / chunk_cols(format);
  return most - most % round_chunks(shape);
}

std::uint32_t gemv_threadgroups(const GemvShape& shape, const DeviceMatrix& matrix) noexcept {
  return ceil_div(matrix.rows * shape.split, shape.rows * shape.simdgroups);
}

bool fits_stage(const GemvShape& shape, DType format) noexcept {
  return round_chunks(shape) * chunk_cols(format) <= LATTICE_STAGE_COLS;
}

bool exceeds_stage(const GemvShape& shape, const DeviceMatrix& matrix) noexcept {
  return matrix.row_chunks > stage_chunks(shape, matrix.format);
}

GemvShape choose_gemv_shape(std::uint32_t cores, const DeviceMatrix& matrix) {
  if (cores == 0 && !matrix.is_tiled()) return {};
  const std::uint32_t core_rows = matrix.rows / std::max(cores, 1u);
  const bool wide = matrix.rows > matrix.cols;
  const auto* found = std::ranges::find_if(kMeasured, [&](const Measured& one) {
    return one.format == matrix.format && one.shape.bytes == matrix.is_tiled() && one.wide == wide &&
           one.row_chunks == matrix.row_chunks && core_rows >= one.core_rows;
  });
  if (found != kMeasured.end()) return found->shape;
  return matrix.is_tiled() ? fill_rows(matrix, wide) : choose_floats(cores, matrix);
}

}  // namespace lattice::gpu
