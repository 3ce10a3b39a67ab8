#include "gpu/device_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "quant/linear_row.h"
#include "support/float16.h"

namespace lattice::gpu {
namespace {

constexpr std::uint32_t kChunkBytes = 16;
constexpr std::uint32_t kTileRows = 16;  // see kernels/tiles.h
constexpr std::uint32_t kGroupChunks = 4;

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

/// Where a matrix's rows go.
class MatrixLayout {
 public:
  explicit MatrixLayout(const DeviceMatrix& matrix) : matrix_(matrix) {}

  [[nodiscard]] std::size_t quant_bytes() const {
    return matrix_.is_tiled() ? units() * kUnitBytes
                              : std::size_t{matrix_.rows} * matrix_.row_chunks * kChunkBytes;
  }
  /// Numbers, where the format has scales.
  [[nodiscard]] std::size_t scales() const {
    return matrix_.is_tiled() ? units() * kUnitPairs * steps() * 2
                              : std::size_t{matrix_.rows} * matrix_.row_blocks;
  }

  void place(std::size_t row, const LinearRow& linear, std::span<std::byte> quants,
             std::span<std::uint16_t> scales) const {
    if (matrix_.is_tiled()) {
      place_in_tile(row, linear, quants, scales);
      return;
    }
    const std::size_t row_bytes = std::size_t{matrix_.row_chunks} * kChunkBytes;
    std::copy_n(linear.quants.begin(), row_bytes,
                quants.begin() + static_cast<std::ptrdiff_t>(row * row_bytes));
    if (!scales.empty()) {
      std::ranges::copy(linear.scales,
                        scales.begin() + static_cast<std::ptrdiff_t>(row * matrix_.row_blocks));
    }
  }

 private:
  static constexpr std::size_t kUnitBytes = std::size_t{kTileRows} * kGroupChunks * kChunkBytes;
  static constexpr std::size_t kUnitPairs = 16;
  static constexpr std::size_t kWordBytes = 4;

  [[nodiscard]] std::size_t units() const {
    return std::size_t{(matrix_.rows + kTileRows - 1) / kTileRows} * matrix_.row_groups;
  }
  /// Blocks that two lanes share.
  [[nodiscard]] std::size_t steps() const { return matrix_.format == DType::kQ8_0 ? 1 : 2; }

  /// As kernels/tiles.h describes it.
  void place_in_tile(std::size_t row, const LinearRow& linear, std::span<std::byte> quants,
                     std::span<std::uint16_t> scales) const {
    const std::size_t first_unit = row / kTileRows * matrix_.row_groups;
    const std::size_t first_lane = row % 8 * kGroupChunks;
    const std::size_t b = row % kTileRows / 8;
    const std::size_t block_chunks = 2 / steps();
    for (std::size_t c = 0; c < matrix_.row_chunks; ++c) {
      const std::size_t unit = first_unit + c / kGroupChunks;
      const std::size_t lane = first_lane + c % kGroupChunks;
      const std::byte* const from = linear.quants.data() + c * kChunkBytes;
      std::byte* const to = quants.data() + unit * kUnitBytes + b * kWordBytes;
      if (steps() == 1) {
        place_words({from, kChunkBytes}, to + lane * kChunkBytes, 0);
      } else {
        place_nibbles({from, kChunkBytes}, to + lane / 2 * 2 * kChunkBytes, c % 2);
      }
      if (c % block_chunks != 0) continue;
      const std::size_t step = steps() == 1 ? 0 : c % 2;
      scales[((unit * kUnitPairs + lane / 2) * steps() + step) * 2 + b] = linear.scales[c / block_chunks];
    }
  }

  /// Words for a lane whose first place is `lane`, from its word `first` on.
  static void place_words(std::span<const std::byte> words, std::byte* lane, std::size_t first) {
    for (std::size_t i = 0; i * kWordBytes < words.size(); ++i) {
      const std::size_t word = first + i;
      std::copy_n(words.data() + i * kWordBytes, kWordBytes,
                  lane + word / 2 * (kUnitBytes / 2) + word % 2 * 2 * kWordBytes);
    }
  }
  /// A block of Q4_0, 16 columns for the lane whose first place is `even` and 16 for the next.
  static void place_nibbles(std::span<const std::byte> block, std::byte* even, std::size_t step) {
    constexpr std::size_t kBytes = 8;
    for (std::size_t odd = 0; odd < 2; ++odd) {
      const auto quant = [&](std::size_t column) {
        return (block[column] >> static_cast<int>(4 * odd)) & std::byte{0x0f};
      };
      std::array<std::byte, kBytes> bytes{};
      for (std::size_t j = 0; j < kBytes; ++j) {
        bytes[j] = (quant(2 * j) | quant(2 * j + 1) << 4) ^ std::byte{0x80};
      }
      place_words(bytes, even + odd * kChunkBytes, 2 * step);
    }
  }

  const DeviceMatrix& matrix_;
};

}  // namespace

DeviceMatrix shaped_matrix(DType format, std::int64_t rows, std::int64_t cols, bool tiled) {
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
  if (tiled && has_byte_gemv(format)) out.row_groups = (out.row_chunks + kGroupChunks - 1) / kGroupChunks;
  return out;
}

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
    DeviceMatrix out = shaped_matrix(matrix.dtype, matrix.rows, matrix.cols, /*tiled=*/false);
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
  DeviceMatrix out =
      shaped_matrix(format, static_cast<std::int64_t>(rows.size()), rows.front().matrix->cols, tiled);
  const MatrixLayout layout(out);
  std::vector<std::byte> quants(layout.quant_bytes());
  std::vector<std::uint16_t> scales(has_block_scales(format) ? layout.scales() : 0);
  pool.run([&](int thread) {
    LinearRow linear;
    const Share share = share_of(static_cast<std::int64_t>(rows.size()), thread, pool.size());
    for (auto i = static_cast<std::size_t>(share.first); i < static_cast<std::size_t>(share.last); ++i) {
      linear.fill(*rows[i].matrix, rows[i].row, format);
      layout.place(i, linear, quants, scales);
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
