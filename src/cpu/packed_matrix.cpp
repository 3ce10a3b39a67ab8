#include "cpu/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "cpu/cache_lines.h"
#include "cpu/coded_row.h"
#include "cpu/isa.h"
#include "cpu/packed_layout.h"
#include "quant/blocks.h"

namespace lattice::cpu {
namespace {

PackedFormat packed_as(DType converted) {
  if (converted == DType::kF16) return PackedFormat::kF16;
  return converted == DType::kBF16 ? PackedFormat::kBF16 : PackedFormat::kF32;
}

DType float_type(PackedFormat format) {
  if (format == PackedFormat::kF16) return DType::kF16;
  return format == PackedFormat::kBF16 ? DType::kBF16 : DType::kF32;
}

}  // namespace

PackedMatrix::PackedMatrix(std::span<const MatrixView> parts, bool exact, ThreadPool& pool, PageArena& arena)
    : cols_(parts.front().cols) {
  const std::optional<PackedFormat> native = native_format(parts);
  format_ = native ? *native : packed_as(packed_format(parts, exact, pool));
  const bool coded = layout_of(format_).coded;
  const auto count = static_cast<std::int64_t>(parts.size());
  view_.rows = parts.front().rows * count;
  view_.blocks = (cols_ + kBlock - 1) / kBlock;
  view_.ahead = weights_ahead();
  view_.pair_shift = pair_shift_of(parts.front());
  view_.bf16_pairs = parts.front().dtype == DType::kAffine && parts.front().affine.scale_type == DType::kBF16;
  quants_ = arena.take(static_cast<std::size_t>(groups() * group_quant_bytes(format_, view_.blocks)));
  scales_ = arena.take(
      static_cast<std::size_t>(groups() * group_scale_bytes(format_, view_.blocks, view_.pair_shift)));
  view_.quants = quants_.data();
  view_.scales = scales_.data();

  const PackedTarget target{format_, view_, quants_.data(), scales_.data()};
  pool.run([&](int thread) {
    LinearRow linear;
    const Share share = share_of(groups(), thread, pool.size());
    for (std::int64_t row = share.first * kGroupRows; row < std::min(share.last * kGroupRows, view_.rows);
         ++row) {
      const MatrixView& part = parts[static_cast<std::size_t>(row % count)];
      if (coded) {
        pack_coded_row(part, row / count, target, row);
      } else {
        linear.fill(part, row / count, float_type(format_));
        pack_floats(linear, float_type(format_), row);
      }
    }
  });
}

void PackedMatrix::pack_floats(const LinearRow& linear, DType as, std::int64_t row) {
  const std::int64_t bytes = packed_block_bytes(as);
  for (std::int64_t b = 0; b < view_.blocks; ++b) {
    copy_words(row, b, [&](std::byte* packed, std::int64_t offset, std::size_t size) {
      std::memcpy(packed, linear.quants.data() + b * bytes + offset, size);
    });
  }
}

std::int64_t PackedMatrix::group_bytes() const noexcept {
  return group_quant_bytes(format_, view_.blocks) +
         group_scale_bytes(format_, view_.blocks, view_.pair_shift);
}

void PackedMatrix::ask_for(std::int64_t group) const noexcept {
  const std::int64_t quants = group_quant_bytes(format_, view_.blocks);
  const std::int64_t scales = group_bytes() - quants;
  ask_for_lines(view_.quants + group * quants, view_.ahead);
  ask_for_lines(view_.scales + group * scales, view_.ahead * scales / quants);
}

/// Calls copy(word in packed memory, its offset in the row's block, its bytes) for each word of a row's
/// block of floats.
template <typename Copy>
void PackedMatrix::copy_words(std::int64_t row, std::int64_t block, const Copy& copy) const {
  const std::int64_t bytes = group_quant_bytes(format_, 1) / kGroupRows;
  const std::int64_t word = format_ == PackedFormat::kF16 ? 2 : 4;
  std::byte* packed = quants_.data() + quant_offset(format_, view_.blocks, row, block);
  for (std::int64_t offset = 0; offset < bytes; offset += word, packed += kGroupRows * word)
    copy(packed, offset, static_cast<std::size_t>(word));
}

void PackedMatrix::unpack_row(std::int64_t row, std::span<float> out) const {
  const PackedLayout& layout = layout_of(format_);
  float values[kBlock];
  std::byte linear[kBlock * sizeof(float)];
  for (std::int64_t b = 0; b < view_.blocks; ++b) {
    if (layout.coded) {
      const std::byte* block = quants_.data() + quant_offset(format_, view_.blocks, row, b);
      for (int half = 0; half < 2; ++half) {
        const auto [scale, bias] = weight_scale(view_, format_, row, b, half);
        for (int c = 16 * half; c < 16 * half + 16; ++c)
          values[c] = scale * static_cast<float>(code_at(layout.bits, block, c) - layout.zero) + bias;
      }
    } else {
      copy_words(row, b, [&](const std::byte* packed, std::int64_t offset, std::size_t size) {
        std::memcpy(linear + offset, packed, size);
      });
      dequantize_blocks(float_type(format_), linear, values);
    }
    const std::int64_t used = std::min(kBlock, cols_ - b * kBlock);
    std::copy_n(values, used, out.data() + b * kBlock);
  }
}

Product product_for(const Kernels& table, PackedFormat format, bool exact) noexcept {
  const auto index = static_cast<std::size_t>(format);
  return exact ? table.exact_products[index] : table.products[index];
}

}  // namespace lattice::cpu
