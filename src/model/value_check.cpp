#include "model/value_check.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "support/fail.h"

namespace lattice {
namespace {

/// Where a block keeps its binary16 scales (ggml-org/ggml src/ggml-common.h).
struct ScaleOffsets {
  int count;
  std::int64_t at[2];
};

ScaleOffsets scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ5_0:
      return {1, {0}};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {2, {0, 2}};
    case DType::kQ2_K:
      return {2, {80, 82}};
    case DType::kQ3_K:
      return {1, {108}};
    case DType::kQ6_K:
      return {1, {208}};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kAffine:
      break;
  }
  return {0, {}};
}

/// Whether any of `count` little-endian words has all exponent bits set: NaN or infinity.
template <typename Word, Word kExponent>
bool any_non_finite(const std::byte* data, std::int64_t count) {
  bool found = false;
  for (std::int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, data + i * static_cast<std::int64_t>(sizeof(Word)), sizeof(Word));
    found |= (word & kExponent) == kExponent;
  }
  return found;
}

bool any_non_finite(DType dtype, const std::byte* data, std::int64_t count) {
  switch (dtype) {
    case DType::kF32:
      return any_non_finite<std::uint32_t, 0x7f800000u>(data, count);
    case DType::kF16:
      return any_non_finite<std::uint16_t, 0x7c00u>(data, count);
    case DType::kBF16:
      return any_non_finite<std::uint16_t, 0x7f80u>(data, count);
    default:
      return false;
  }
}

}  // namespace

bool row_is_finite(const MatrixView& matrix, std::int64_t row) {
  const std::byte* data = matrix.data + row * matrix.row_bytes();
  if (matrix.dtype == DType::kAffine) {
    const AffineGroups& affine = matrix.affine;
    const std::int64_t groups = matrix.cols / affine.group_size;
    const std::int64_t start = row * groups * block_bytes(affine.scale_type);
    return !any_non_finite(affine.scale_type, affine.scales + start, groups) &&
           !any_non_finite(affine.scale_type, affine.biases + start, groups);
  }
  if (block_elements(matrix.dtype) == 1) return !any_non_finite(matrix.dtype, data, matrix.cols);
  const ScaleOffsets offsets = scale_offsets(matrix.dtype);
  const std::int64_t blocks = matrix.cols / block_elements(matrix.dtype);
  for (std::int64_t b = 0; b < blocks; ++b, data += block_bytes(matrix.dtype)) {
    for (int s = 0; s < offsets.count; ++s) {
      if (any_non_finite(DType::kF16, data + offsets.at[s], 1)) return false;
    }
  }
  return true;
}

namespace {

/// A run of rows: what one thread takes at a time.
struct Piece {
  std::size_t matrix;
  std::int64_t first_row, end_row;
};

constexpr std::int64_t kPieceBytes = 1 << 22;

std::vector<Piece> cut(std::span<const NamedMatrix> matrices) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const MatrixView& matrix = matrices[i].matrix;
    const std::int64_t rows =
        std::max<std::int64_t>(1, kPieceBytes / std::max<std::int64_t>(1, matrix.row_bytes()));
    for (std::int64_t row = 0; row < matrix.rows; row += rows) {
      pieces.push_back({i, row, std::min(row + rows, matrix.rows)});
    }
  }
  return pieces;
}

}  // namespace

void check_finite(const std::string& file, std::span<const NamedMatrix> matrices) {
  const std::vector<Piece> pieces = cut(matrices);
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> first_bad{pieces.size()};
  const auto work = [&] {
    for (std::size_t p = next++; p < pieces.size(); p = next++) {
      const Piece& piece = pieces[p];
      for (std::int64_t row = piece.first_row; row < piece.end_row; ++row) {
        if (row_is_finite(matrices[piece.matrix].matrix, row)) continue;
        std::size_t known = first_bad;
        while (p < known && !first_bad.compare_exchange_weak(known, p)) {
        }
        break;
      }
    }
  };
  std::int64_t bytes = 0;
  for (const NamedMatrix& named : matrices) bytes += named.matrix.total_bytes();
  // A thread for every piece's worth of bytes: a small model is looked through before one has started.
  const auto n_threads =
      std::min<std::int64_t>(std::max(1u, std::thread::hardware_concurrency()), 1 + bytes / kPieceBytes);
  {
    std::vector<std::jthread> threads;
    for (std::int64_t t = 1; t < n_threads; ++t) threads.emplace_back(work);
    work();
  }
  if (first_bad == pieces.size()) return;
  const Piece& piece = pieces[first_bad];
  const NamedMatrix& bad = matrices[piece.matrix];
  for (std::int64_t row = piece.first_row; row < piece.end_row; ++row) {
    if (row_is_finite(bad.matrix, row)) continue;
    fail("{}: tensor {} has {} that is not finite in row {}", file, bad.name,
         block_elements(bad.matrix.dtype) == 1 && bad.matrix.dtype != DType::kAffine ? "a value" : "a scale",
         row);
  }
}

}  // namespace lattice
