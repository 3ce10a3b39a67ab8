#include "gpu/device_matrix.h"

#include <algorithm>
#include <cmath>

#include "quant/linear_row.h"
#include "support/float16.h"

namespace lattice::gpu {
namespace {

constexpr std::uint32_t kChunkBytes = 16;

/// DeviceMatrix::half_factor. Quants are of 8 or 4 bits with a sign: up to 2⁷ and 2³.
float half_factor_of(std::span<const std::uint16_t> scales, DType format) {
  std::uint16_t largest = 0;  // binary16 is ordered as its bits are
  for (const std::uint16_t scale : scales) largest = std::max<std::uint16_t>(largest, scale & 0x7fffu);
  const float bound = f16_to_f32(largest) * (format == DType::kQ8_0 ? 128.0f : 8.0f);
  return bound > 0 && std::isfinite(bound) ? std::ldexp(1.0f, 14 - std::ilogb(bound)) : 1.0f;
}

/// Formats whose rows stay byte for byte what they are, see packed_format().
bool is_kept_float(DType format) {
  return format == DType::kF32 || format == DType::kF16 || format == DType::kBF16;
}

/// A matrix without its memory.
DeviceMatrix shaped(DType format, std::int64_t rows, std::int64_t cols) {
  const std::int64_t cols_a_chunk = chunk_cols(format);
  DeviceMatrix out;
  out.format = format;
  out.rows = static_cast<std::uint32_t>(rows);
  out.cols = static_cast<std::uint32_t>(cols);
  out.row_blocks = static_cast<std::uint32_t>((cols + kPackedBlock - 1) / kPackedBlock);
  // Floats are padded to whole chunks, quantised rows to whole blocks, of which a chunk may be a part.
  out.row_chunks = has_block_scales(format)
                       ? out.row_blocks * static_cast<std::uint32_t>(kPackedBlock / cols_a_chunk)
                       : static_cast<std::uint32_t>((cols + cols_a_chunk - 1) / cols_a_chunk);
  return out;
}

}  // namespace

std::string kernel_suffix(DType format) {
  std::string name(dtype_name(format));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return name;
}

std::uint32_t chunk_cols(DType format) noexcept {
  return static_cast<std::uint32_t>(kPackedBlock * kChunkBytes / packed_block_bytes(format));
}

DeviceMatrix MatrixPacker::in_turn(std::span<const MatrixView> parts) const {
  std::vector<RowSource> rows;
  for (std::int64_t row = 0; row < parts.front().rows; ++row) {
    for (const MatrixView& part : parts) rows.push_back({&part, row});
  }
  return pack(packed_format(parts, exact, pool), rows);
}

DeviceMatrix MatrixPacker::one(const MatrixView& matrix) const {
  if (mapped && is_kept_float(matrix.dtype)) {
    DeviceMatrix out = shaped(matrix.dtype, matrix.rows, matrix.cols);
    const auto row_bytes = std::int64_t{out.row_chunks} * kChunkBytes;
    if (row_bytes == matrix.row_bytes()) {  // no padding
      out.quants = device.wrap({matrix.data, static_cast<std::size_t>(matrix.rows * row_bytes)});
    }
    if (out.quants != nullptr) return out;
  }
  return in_turn({&matrix, 1});
}

std::vector<DeviceMatrix> MatrixPacker::stacked(std::span<const MatrixView> parts) const {
  std::vector<DType> formats;
  for (const MatrixView& part : parts) formats.push_back(packed_format({&part, 1}, exact, pool));
  std::vector<DeviceMatrix> out;
  std::vector<RowSource> rows;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (std::int64_t row = 0; row < parts[i].rows; ++row) rows.push_back({&parts[i], row});
    if (i + 1 < parts.size() && formats[i + 1] == formats[i]) continue;
    out.push_back(pack(formats[i], rows));
    rows.clear();
  }
  return out;
}

DeviceMatrix MatrixPacker::pack(DType format, std::span<const RowSource> rows) const {
  DeviceMatrix out = shaped(format, static_cast<std::int64_t>(rows.size()), rows.front().matrix->cols);
  const std::size_t row_bytes = std::size_t{out.row_chunks} * kChunkBytes;
  std::vector<std::byte> quants(rows.size() * row_bytes);
  std::vector<std::uint16_t> scales(has_block_scales(format) ? rows.size() * out.row_blocks : 0);
  pool.run([&](int thread) {
    LinearRow linear;
    const Share share = share_of(static_cast<std::int64_t>(rows.size()), thread, pool.size());
    for (auto i = static_cast<std::size_t>(share.first); i < static_cast<std::size_t>(share.last); ++i) {
      linear.fill(*rows[i].matrix, rows[i].row, format);
      std::copy_n(linear.quants.begin(), row_bytes, quants.data() + i * row_bytes);
      if (!scales.empty()) std::ranges::copy(linear.scales, scales.data() + i * out.row_blocks);
    }
  });
  out.quants = device.allocate(quants.size());
  out.quants->upload(0, quants);
  if (!scales.empty()) {
    out.scales = device.allocate(scales.size() * sizeof(std::uint16_t));
    out.scales->upload<std::uint16_t>(scales);
    out.half_factor = half_factor_of(scales, format);
  }
  return out;
}

}  // namespace lattice::gpu
