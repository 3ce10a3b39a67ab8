#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "cpu/random_matrix.h"
#include "quant/blocks.h"
#include "support/float16.h"

// Quantisers for the formats that lattice only reads: the plain ones, which spread the codes evenly between a
// block's ends. They make models for tests; files that are any good are made by ggml's and MLX's searches.

namespace lattice::cpu {

inline std::uint8_t nearest_code(float value, int highest) {
  return static_cast<std::uint8_t>(std::clamp(static_cast<int>(std::lround(value)), 0, highest));
}

inline float rounded_to_f16(float value, std::byte* out) {
  const std::uint16_t bits = f32_to_f16(value);
  std::memcpy(out, &bits, sizeof bits);
  return f16_to_f32(bits);
}

/// Q4_K and Q5_K: 256 elements.
inline void quantize_k(int bits, std::span<const float> in, std::byte* out) {
  const int highest = (1 << bits) - 1;
  std::array<float, 8> scales;
  std::array<float, 8> mins;
  for (std::size_t j = 0; j < 8; ++j) {
    const auto [low, high] = std::ranges::minmax(in.subspan(32 * j, 32));
    mins[j] = std::max(-low, 0.0f);
    scales[j] = (high + mins[j]) / static_cast<float>(highest);
  }
  const float d = rounded_to_f16(std::ranges::max(scales) / 63, out);
  const float dmin = rounded_to_f16(std::ranges::max(mins) / 63, out + 2);
  std::byte* packed = out + 4;
  std::byte* qh = out + 16;
  std::byte* qs = out + (bits == 5 ? 48 : 16);
  std::memset(packed, 0, static_cast<std::size_t>(block_bytes(bits == 5 ? DType::kQ5_K : DType::kQ4_K)) - 4);
  for (std::size_t j = 0; j < 8; ++j) {
    const unsigned s = d > 0 ? nearest_code(scales[j] / d, 63) : 0u;
    const unsigned m = dmin > 0 ? nearest_code(mins[j] / dmin, 63) : 0u;
    if (j < 4) {
      packed[j] |= static_cast<std::byte>(s);
      packed[j + 4] |= static_cast<std::byte>(m);
    } else {
      packed[j + 4] |= static_cast<std::byte>((s & 15) | (m & 15) << 4);
      packed[j - 4] |= static_cast<std::byte>((s >> 4) << 6);
      packed[j] |= static_cast<std::byte>((m >> 4) << 6);
    }
    const float scale = d * static_cast<float>(s);
    for (std::size_t i = 0; i < 32; ++i) {
      const float above = in[32 * j + i] + dmin * static_cast<float>(m);
      const unsigned q = scale > 0 ? nearest_code(above / scale, highest) : 0u;
      qs[32 * (j / 2) + i] |= static_cast<std::byte>((q & 15) << (4 * (j % 2)));
      if (bits == 5) qh[i] |= static_cast<std::byte>((q >> 4) << j);
    }
  }
}

/// Q6_K: 256 elements.
inline void quantize_q6_k(std::span<const float> in, std::byte* out) {
  std::array<float, 16> scales;
  for (std::size_t j = 0; j < 16; ++j) {
    const auto [low, high] = std::ranges::minmax(in.subspan(16 * j, 16));
    scales[j] = std::max(-low, high) / 31;
  }
  std::memset(out, 0, 192);
  const float d = rounded_to_f16(std::ranges::max(scales) / 127, out + 208);
  for (std::size_t j = 0; j < 16; ++j) {
    const unsigned s = d > 0 ? nearest_code(scales[j] / d, 127) : 0u;
    out[192 + j] = static_cast<std::byte>(s);
    const float scale = d * static_cast<float>(s);
    for (std::size_t c = 16 * j; c < 16 * j + 16; ++c) {
      const unsigned q = scale > 0 ? nearest_code(in[c] / scale + 32, 63) : 32u;
      const std::size_t half = c / 128;
      const std::size_t quarter = c % 128 / 32;
      out[64 * half + 32 * (quarter % 2) + c % 32] |= static_cast<std::byte>((q & 15) << (4 * (quarter / 2)));
      out[128 + 32 * half + c % 32] |= static_cast<std::byte>((q >> 4) << (2 * quarter));
    }
  }
}

/// A matrix of a file's format with the values of another, as nearly as the format has them.
class QuantisedMatrix {
 public:
  QuantisedMatrix(const FileFormat& format, const MatrixView& from) {
    view_.dtype = format.type;
    view_.rows = from.rows;
    view_.cols = from.cols;
    view_.affine.bits = format.bits;
    view_.affine.group_size = format.group_size;
    view_.affine.scale_type = format.scale_type;
    data_.resize(static_cast<std::size_t>(view_.rows * view_.row_bytes()));
    view_.data = data_.data();
    if (format.type == DType::kAffine) {
      const auto groups = static_cast<std::size_t>(view_.rows * view_.cols / format.group_size);
      scales_.resize(2 * groups);
      biases_.resize(2 * groups);
      view_.affine.scales = scales_.data();
      view_.affine.biases = biases_.data();
    }
    std::vector<float> row(static_cast<std::size_t>(from.cols));
    for (std::int64_t r = 0; r < from.rows; ++r) {
      dequantize_row(from, r, row);
      quantise_row(r, row);
    }
  }

  [[nodiscard]] const MatrixView& view() const { return view_; }

 private:
  void quantise_row(std::int64_t r, std::span<const float> row) {
    std::byte* out = data_.data() + r * view_.row_bytes();
    if (view_.dtype == DType::kAffine) return quantise_affine(r, row, out);
    if (view_.dtype != DType::kQ4_K && view_.dtype != DType::kQ5_K && view_.dtype != DType::kQ6_K)
      return quantize_blocks(view_.dtype, row, out);
    for (std::size_t first = 0; first < row.size(); first += 256, out += block_bytes(view_.dtype)) {
      const std::span<const float> block = row.subspan(first, 256);
      if (view_.dtype == DType::kQ6_K) {
        quantize_q6_k(block, out);
      } else {
        quantize_k(view_.dtype == DType::kQ5_K ? 5 : 4, block, out);
      }
    }
  }

  /// Codes of 4 and 8 bits.
  void quantise_affine(std::int64_t r, std::span<const float> row, std::byte* out) {
    const auto size = static_cast<std::size_t>(view_.affine.group_size);
    const int highest = (1 << view_.affine.bits) - 1;
    for (std::size_t g = 0; g < row.size() / size; ++g) {
      const auto [low, high] = std::ranges::minmax(row.subspan(g * size, size));
      const std::size_t at = 2 * (static_cast<std::size_t>(r) * row.size() / size + g);
      const float ends[] = {(high - low) / static_cast<float>(highest), low};
      quantize_blocks(view_.affine.scale_type, std::span(ends).first(1), scales_.data() + at);
      quantize_blocks(view_.affine.scale_type, std::span(ends).last(1), biases_.data() + at);
      float scale = 0;
      float bias = 0;
      dequantize_blocks(view_.affine.scale_type, scales_.data() + at, {&scale, 1});
      dequantize_blocks(view_.affine.scale_type, biases_.data() + at, {&bias, 1});
      for (std::size_t c = g * size; c < (g + 1) * size; ++c) {
        const unsigned q = scale > 0 ? nearest_code((row[c] - bias) / scale, highest) : 0u;
        if (view_.affine.bits == 8) {
          out[c] = static_cast<std::byte>(q);
        } else {
          out[c / 2] |= static_cast<std::byte>(q << (4 * (c % 2)));
        }
      }
    }
  }

  MatrixView view_;
  std::vector<std::byte> data_;
  std::vector<std::byte> scales_;
  std::vector<std::byte> biases_;
};

}  // namespace lattice::cpu
