#include "cpu/packed_matrix.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "quant/blocks.h"

namespace lattice::cpu {
namespace {

constexpr float kLargestF16 = 65504.0f;

bool is_native(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kQ8_0 ||
         type == DType::kQ4_0;
}

/// Bytes of a word of the packed order.
std::int64_t word_bytes(DType format) {
  return format == DType::kF16 ? 2 : 4;
}

/// Bytes of one row's 32 columns, without scales.
std::int64_t row_block_bytes(DType format) {
  switch (format) {
    case DType::kF32:
      return 4 * kBlock;
    case DType::kQ8_0:
      return kBlock;
    case DType::kQ4_0:
      return kBlock / 2;
    default:
      return 2 * kBlock;
  }
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

DType common_format(std::span<const MatrixView> parts, bool exact, ThreadPool& pool) {
  const DType first = parts.front().dtype;
  const bool same = std::ranges::all_of(parts, [&](const MatrixView& part) { return part.dtype == first; });
  if (same && is_native(first)) return first;
  return !exact && fits_f16(parts, pool) ? DType::kF16 : DType::kF32;
}

template <typename Block>
void split_block(const std::byte* in, std::byte* quants, std::uint16_t* scale) {
  Block block;
  std::memcpy(&block, in, sizeof block);
  std::memcpy(quants, block.q, sizeof block.q);
  *scale = block.d;
}

/// A row, as the packed format has it but still contiguous: whole blocks, the last one padded with zeros.
struct LinearRow {
  std::vector<std::byte> quants;
  std::vector<std::uint16_t> scales;
  std::vector<float> floats;

  void fill(const MatrixView& matrix, std::int64_t row, DType format) {
    const std::int64_t blocks = (matrix.cols + kBlock - 1) / kBlock;
    const auto bytes = static_cast<std::size_t>(blocks * row_block_bytes(format));
    quants.assign(bytes, std::byte{0});
    scales.resize(static_cast<std::size_t>(blocks));
    const std::byte* in = matrix.data + row * matrix.row_bytes();
    if (format == DType::kQ8_0 || format == DType::kQ4_0) {
      for (std::int64_t b = 0; b < blocks; ++b) {
        std::byte* out = quants.data() + b * row_block_bytes(format);
        std::uint16_t* scale = &scales[static_cast<std::size_t>(b)];
        if (format == DType::kQ8_0) split_block<block_q8_0>(in + b * block_bytes(format), out, scale);
        if (format == DType::kQ4_0) split_block<block_q4_0>(in + b * block_bytes(format), out, scale);
      }
    } else if (format == matrix.dtype) {
      std::memcpy(quants.data(), in, static_cast<std::size_t>(matrix.row_bytes()));
    } else {
      floats.resize(static_cast<std::size_t>(matrix.cols));
      dequantize_row(matrix, row, floats);
      quantize_blocks(format, floats, quants.data());
    }
  }
};

}  // namespace

PackedMatrix::PackedMatrix(std::span<const MatrixView> parts, bool exact, ThreadPool& pool)
    : format_(common_format(parts, exact, pool)), cols_(parts.front().cols) {
  const auto count = static_cast<std::int64_t>(parts.size());
  view_.rows = parts.front().rows * count;
  view_.blocks = (cols_ + kBlock - 1) / kBlock;
  const std::int64_t bytes = row_block_bytes(format_);
  quants_ = AlignedMemory(static_cast<std::size_t>(groups() * view_.blocks * kGroupRows * bytes));
  if (is_quantised())
    scales_ = AlignedMemory(static_cast<std::size_t>(groups() * view_.blocks * kGroupRows * 2));
  view_.quants = quants_.data();
  view_.scales = scales_.as<std::uint16_t>();

  pool.run([&](int thread) {
    LinearRow linear;
    const Share share = share_of(groups(), thread, pool.size());
    for (std::int64_t row = share.first * kGroupRows; row < std::min(share.last * kGroupRows, view_.rows);
         ++row) {
      linear.fill(parts[static_cast<std::size_t>(row % count)], row / count, format_);
      for (std::int64_t b = 0; b < view_.blocks; ++b) {
        copy_words(row, b, [&](std::byte* packed, std::int64_t offset, std::size_t size) {
          std::memcpy(packed, linear.quants.data() + b * bytes + offset, size);
        });
        if (is_quantised())
          scales_.as<std::uint16_t>()[scale_index(row, b)] = linear.scales[static_cast<std::size_t>(b)];
      }
    }
  });
}

std::int64_t PackedMatrix::group_bytes() const noexcept {
  return view_.blocks * kGroupRows * (row_block_bytes(format_) + (is_quantised() ? 2 : 0));
}

std::int64_t PackedMatrix::scale_index(std::int64_t row, std::int64_t block) const noexcept {
  return (row / kGroupRows * view_.blocks + block) * kGroupRows + row % kGroupRows;
}

/// Calls copy(word in packed memory, its offset in the row's block, its bytes) for each word of a row's
/// block.
template <typename Copy>
void PackedMatrix::copy_words(std::int64_t row, std::int64_t block, const Copy& copy) const {
  const std::int64_t bytes = row_block_bytes(format_);
  const std::int64_t word = word_bytes(format_);
  std::byte* packed = quants_.data() + (row / kGroupRows * view_.blocks + block) * kGroupRows * bytes +
                      row % kGroupRows * word;
  for (std::int64_t offset = 0; offset < bytes; offset += word, packed += kGroupRows * word)
    copy(packed, offset, static_cast<std::size_t>(word));
}

void PackedMatrix::unpack_row(std::int64_t row, std::span<float> out) const {
  float values[kBlock];
  std::byte linear[kBlock * sizeof(float)];
  for (std::int64_t b = 0; b < view_.blocks; ++b) {
    std::byte* quants = linear;
    if (is_quantised()) {  // the file's blocks begin with their scale
      std::memcpy(linear, &view_.scales[scale_index(row, b)], sizeof(std::uint16_t));
      quants += sizeof(std::uint16_t);
    }
    copy_words(row, b, [&](const std::byte* packed, std::int64_t offset, std::size_t size) {
      std::memcpy(quants + offset, packed, size);
    });
    dequantize_blocks(format_, linear, values);
    const std::int64_t used = std::min(kBlock, cols_ - b * kBlock);
    std::copy_n(values, used, out.data() + b * kBlock);
  }
}

Product product_for(const Kernels& table, DType format, bool exact) noexcept {
  switch (format) {
    case DType::kF16:
      return table.f16;
    case DType::kBF16:
      return table.bf16;
    case DType::kQ8_0:
      return exact ? table.q8_0_exact : table.q8_0;
    case DType::kQ4_0:
      return exact ? table.q4_0_exact : table.q4_0;
    default:
      return table.f32;
  }
}

}  // namespace lattice::cpu
