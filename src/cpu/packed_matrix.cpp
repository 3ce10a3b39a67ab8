#include "cpu/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "quant/blocks.h"
#include "quant/linear_row.h"

namespace lattice::cpu {
namespace {

/// Bytes of a word of the packed order.
std::int64_t word_bytes(DType format) {
  return format == DType::kF16 ? 2 : 4;
}

}  // namespace

PackedMatrix::PackedMatrix(std::span<const MatrixView> parts, bool exact, ThreadPool& pool)
    : format_(packed_format(parts, exact, pool)), cols_(parts.front().cols) {
  const auto count = static_cast<std::int64_t>(parts.size());
  view_.rows = parts.front().rows * count;
  view_.blocks = (cols_ + kBlock - 1) / kBlock;
  const std::int64_t bytes = packed_block_bytes(format_);
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
  return view_.blocks * kGroupRows * (packed_block_bytes(format_) + (is_quantised() ? 2 : 0));
}

std::int64_t PackedMatrix::scale_index(std::int64_t row, std::int64_t block) const noexcept {
  return (row / kGroupRows * view_.blocks + block) * kGroupRows + row % kGroupRows;
}

/// Calls copy(word in packed memory, its offset in the row's block, its bytes) for each word of a row's
/// block.
template <typename Copy>
void PackedMatrix::copy_words(std::int64_t row, std::int64_t block, const Copy& copy) const {
  const std::int64_t bytes = packed_block_bytes(format_);
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
