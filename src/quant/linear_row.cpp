#include "quant/linear_row.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "quant/blocks.h"

namespace lattice {
namespace {

constexpr float kLargestF16 = 65504.0f;

bool is_native(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kQ8_0 ||
         type == DType::kQ4_0;
}

bool fits_f16(std::span<const MatrixView> parts, ThreadPool& pool) {
  std::atomic<bool> fits = true;
  pool.run([&](int thread) {
    std::vector<float> row(static_cast<std::size_t>(parts.front().cols));
    for (const MatrixView& part : parts) {
      const Share share = share_of(part.rows, thread, pool.size());
      for (std::int64_t r = share.first; r < share.last && fits.load(std::memory_order_relaxed); ++r) {
        dequantize_row(part, r, row);
        if (std::ranges::any_of(row, [](float w) { return std::fabs(w) > kLargestF16; })) fits = false;
      }
    }
  });
  return fits;
}

template <typename Block>
void split_block(const std::byte* in, std::byte* quants, std::uint16_t* scale) {
  Block block;
  std::memcpy(&block, in, sizeof block);
  std::memcpy(quants, block.q, sizeof block.q);
  *scale = block.d;
}

}  // namespace

DType packed_format(std::span<const MatrixView> parts, bool exact, ThreadPool& pool) {
  const DType first = parts.front().dtype;
  const bool same = std::ranges::all_of(parts, [&](const MatrixView& part) { return part.dtype == first; });
  if (same && is_native(first)) return first;
  return !exact && fits_f16(parts, pool) ? DType::kF16 : DType::kF32;
}

std::int64_t packed_block_bytes(DType format) noexcept {
  switch (format) {
    case DType::kF32:
      return 4 * kPackedBlock;
    case DType::kQ8_0:
      return kPackedBlock;
    case DType::kQ4_0:
      return kPackedBlock / 2;
    default:
      return 2 * kPackedBlock;
  }
}

void LinearRow::fill(const MatrixView& matrix, std::int64_t row, DType format) {
  const std::int64_t blocks = (matrix.cols + kPackedBlock - 1) / kPackedBlock;
  const auto bytes = static_cast<std::size_t>(blocks * packed_block_bytes(format));
  quants.assign(bytes, std::byte{0});
  scales.resize(static_cast<std::size_t>(blocks));
  const std::byte* in = matrix.data + row * matrix.row_bytes();
  if (has_block_scales(format)) {
    for (std::int64_t b = 0; b < blocks; ++b) {
      std::byte* out = quants.data() + b * packed_block_bytes(format);
      std::uint16_t* scale = &scales[static_cast<std::size_t>(b)];
      if (format == DType::kQ8_0) split_block<block_q8_0>(in + b * block_bytes(format), out, scale);
      if (format == DType::kQ4_0) split_block<block_q4_0>(in + b * block_bytes(format), out, scale);
    }
  } else if (format == matrix.dtype) {
    std::memcpy(quants.data(), in, static_cast<std::size_t>(matrix.row_bytes()));
  } else {
    floats_.resize(static_cast<std::size_t>(matrix.cols));
    dequantize_row(matrix, row, floats_);
    quantize_blocks(format, floats_, quants.data());
  }
}

}  // namespace lattice
