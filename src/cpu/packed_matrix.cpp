#include "cpu/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "quant/blocks.h"
#include "quant/linear_row.h"

namespace lattice::cpu {
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
        const std::int64_t at = (row / kGroupRows * view_.blocks + b) * kGroupRows + row % kGroupRows;
        std::memcpy(quants_.data() + at * bytes, linear.quants.data() + b * bytes,
                    static_cast<std::size_t>(bytes));
        if (is_quantised()) scales_.as<std::uint16_t>()[at] = linear.scales[static_cast<std::size_t>(b)];
      }
    }
  });
}

void PackedMatrix::unpack_row(std::int64_t row, std::span<float> out) const {
  const std::int64_t bytes = packed_block_bytes(format_);
  float values[kBlock];
  std::byte block[sizeof(block_q8_0)];
  for (std::int64_t b = 0; b < view_.blocks; ++b) {
    const std::int64_t at = (row / kGroupRows * view_.blocks + b) * kGroupRows + row % kGroupRows;
    const std::byte* from = view_.quants + at * bytes;
    if (is_quantised()) {
      std::memcpy(block, &view_.scales[at], 2);
      std::memcpy(block + 2, from, static_cast<std::size_t>(bytes));
      from = block;
    }
    dequantize_blocks(format_, from, values);
    const std::int64_t used = std::min(kBlock, cols_ - b * kBlock);
    std::copy_n(values, used, out.data() + b * kBlock);
  }
}

const FormatKernels& kernels_for(const Kernels& table, DType format, bool exact) noexcept {
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
