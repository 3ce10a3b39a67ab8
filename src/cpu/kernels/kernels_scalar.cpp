// Every kernel in plain C++: what runs on any processor, and what the others are read beside.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "cpu/kernels/kernels.h"
#include "cpu/packed_layout.h"
#include "support/float16.h"

namespace lattice::cpu {
namespace {

/// Column c of a row of floats, whose first word in the packed block is at `block`.
float float_at(PackedFormat format, const std::byte* block, std::int64_t c) {
  const auto word = [block](std::int64_t w, std::int64_t bytes) { return block + w * kGroupRows * bytes; };
  std::uint16_t half;
  switch (format) {
    case PackedFormat::kF16:
      std::memcpy(&half, word(c, 2), sizeof half);
      return f16_to_f32(half);
    case PackedFormat::kBF16:
      std::memcpy(&half, word(c / 2, 4) + c % 2 * 2, sizeof half);
      return bf16_to_f32(half);
    default:
      float value;
      std::memcpy(&value, word(c, 4), sizeof value);
      return value;
  }
}

template <PackedFormat kFormat>
float row_float(const PackedRows& weights, std::int64_t row, const Activation& x) {
  const PackedLayout& layout = layout_of(kFormat);
  float sum = 0.0f;
  for (std::int64_t b = 0; b < weights.blocks; ++b) {
    const std::byte* block = weights.quants + quant_offset(kFormat, weights.blocks, row, b);
    for (int half = 0; half < 2; ++half) {
      const WeightScale own =
          layout.coded ? weight_scale(weights, kFormat, row, b, half) : WeightScale{1.0f, 0.0f};
      for (std::int64_t c = 16 * half; c < 16 * half + 16; ++c) {
        const float value =
            layout.coded
                ? own.scale * static_cast<float>(code_at(layout.bits, block, c) - layout.zero) + own.bias
                : float_at(kFormat, block, c);
        sum += value * x.values[b * kBlock + c];
      }
    }
  }
  return sum;
}

template <PackedFormat kFormat>
float row_int8(const PackedRows& weights, std::int64_t row, const Activation& x) {
  const PackedLayout& layout = layout_of(kFormat);
  float sum = 0.0f;
  for (std::int64_t b = 0; b < weights.blocks; ++b) {
    const std::byte* block = weights.quants + quant_offset(kFormat, weights.blocks, row, b);
    const bool halved = layout.scales == PackedLayout::Scales::kPerHalf;
    const std::int64_t together = halved ? 16 : 32;  // columns that share a scale
    for (std::int64_t first = 0; first < kBlock; first += together) {
      int products = 0;
      for (std::int64_t c = first; c < first + together; ++c)
        products += (code_at(layout.bits, block, c) - layout.zero) * x.quants[b * kBlock + c];
      const WeightScale own = weight_scale(weights, kFormat, row, b, first == 0 ? 0 : 1);
      sum += own.scale * x.scales[b] * static_cast<float>(products);
      sum += own.bias * (x.scales[b] * static_cast<float>(halved ? 0 : x.totals[b]));
    }
  }
  return sum;
}

using Row = float (*)(const PackedRows&, std::int64_t, const Activation&);

/// The product of one row and one vector. Formats of floats have no other than the exact one.
template <PackedFormat kFormat, bool kExact>
constexpr Row row_product() {
  if constexpr (kExact || kFormat <= PackedFormat::kBF16) return row_float<kFormat>;
  return row_int8<kFormat>;
}

template <Row kRow>
void product(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
             std::int64_t tokens, float* y, std::int64_t stride) {
  for (std::int64_t row = first * kGroupRows; row < std::min(last * kGroupRows, weights.rows); ++row) {
    for (std::int64_t t = 0; t < tokens; ++t) y[t * stride + row] = kRow(weights, row, x[t]);
  }
}

void quantize(const float* values, std::int64_t blocks, std::int8_t* quants, float* scales,
              std::int32_t* totals, std::int32_t* halves) {
  for (std::int64_t block = 0; block < blocks; ++block, values += kBlock, quants += kBlock) {
    float highest = 0.0f;
    bool finite = true;
    for (std::int64_t c = 0; c < kBlock; ++c) {
      highest = std::max(highest, std::fabs(values[c]));
      finite = finite && std::isfinite(values[c]);
    }
    const float scale = highest / 127.0f;
    totals[block] = halves[block] = 0;
    if (!finite || scale < std::numeric_limits<float>::min()) {
      std::fill(quants, quants + kBlock, std::int8_t{0});
      scales[block] = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
      continue;
    }
    scales[block] = scale;
    const float inverse = 1.0f / scale;
    for (std::int64_t c = 0; c < kBlock; ++c) {
      const auto q = static_cast<int>(std::nearbyint(values[c] * inverse));
      quants[c] = static_cast<std::int8_t>(q);
      totals[block] += q;
      if (c < kBlock / 2) halves[block] += q;
    }
  }
}

float dot(const float* a, const float* b, std::int64_t n) {
  float sum = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void axpy(float a, const float* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

float silu_of(float x) {
  return x / (1.0f + std::exp(-x));
}

void swiglu_pairs(const float* pairs, float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = silu_of(pairs[2 * i]) * pairs[2 * i + 1];
}

void silu(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = silu_of(x[i]);
}

void convolve(const float* const* rows, const float* weights, std::int64_t stride, std::int64_t taps,
              float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    float sum = 0.0f;
    for (std::int64_t t = 0; t < taps; ++t) sum += weights[t * stride + i] * rows[t][i];
    out[i] = silu_of(sum);
  }
}

float largest(const float* x, std::int64_t n) {
  return *std::max_element(x, x + n);
}

float exp_sum(float* x, float factor, float shift, std::int64_t n) {
  float sum = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) {
    const float exponent = x[i] * factor - shift;
    sum += x[i] = exponent < -87.0f ? 0.0f : std::exp(exponent);
  }
  return sum;
}

void matmul(const MatrixProduct& m) {
  for (std::int64_t row = 0; row < m.m; ++row) {
    float* out = m.c + row * m.c_stride;
    for (std::int64_t j = 0; j < m.n; ++j) out[j] = m.keep == nullptr ? 0.0f : m.keep[row] * out[j];
    for (std::int64_t i = 0; i < m.k; ++i) {
      const float factor = m.a.data[row * m.a.row + i * m.a.column];
      const float* b = m.b.data + i * m.b.row;
      for (std::int64_t j = 0; j < m.n; ++j) out[j] += factor * b[j * m.b.column];
    }
  }
}

void solve(const float* l, std::int64_t l_stride, float* x, std::int64_t x_stride, std::int64_t m,
           std::int64_t n) {
  for (std::int64_t i = 1; i < m; ++i) {
    for (std::int64_t j = 0; j < i; ++j) axpy(l[i * l_stride + j], x + j * x_stride, x + i * x_stride, n);
  }
}

void delta_step(float* s, const float* k, const float* q, const float* v, float decay, float beta, float* out,
                std::int64_t n) {
  const float kq = dot(k, q, n);
  for (std::int64_t row = 0; row < n; ++row, s += n) {
    const float u = beta * (v[row] - decay * dot(s, k, n));
    out[row] = decay * dot(s, q, n) + u * kq;
    for (std::int64_t i = 0; i < n; ++i) s[i] = decay * s[i] + u * k[i];
  }
}

void to_f16(const float* in, std::uint16_t* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f32_to_f16(in[i]);
}

void from_f16(const std::uint16_t* in, float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f16_to_f32(in[i]);
}

float as_float(float x) {
  return x;
}

float as_float(std::uint16_t half) {
  return f16_to_f32(half);
}

template <typename T>
void score_keys(const float* queries, std::int64_t heads, const T* keys, std::int64_t count, std::int64_t d,
                float* scores, std::int64_t stride) {
  for (std::int64_t k = 0; k < count; ++k) {
    for (std::int64_t h = 0; h < heads; ++h) {
      float sum = 0.0f;
      for (std::int64_t i = 0; i < d; ++i) sum += queries[h * d + i] * as_float(keys[k * d + i]);
      scores[h * stride + k] = sum;
    }
  }
}

template <typename T>
void add_values(const float* weights, std::int64_t stride, std::int64_t heads, const T* values,
                std::int64_t count, std::int64_t d, float* out) {
  for (std::int64_t k = 0; k < count; ++k) {
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t i = 0; i < d; ++i)
        out[h * d + i] += weights[h * stride + k] * as_float(values[k * d + i]);
    }
  }
}

std::uint64_t read_all(const std::byte* from, std::int64_t bytes, std::int64_t) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < bytes; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, from + i, sizeof word);
    sum += word;
  }
  return sum;
}

template <std::size_t... kFormats>
constexpr Kernels with_products(Kernels table, std::index_sequence<kFormats...>) {
  table.products = {product<row_product<static_cast<PackedFormat>(kFormats), false>()>...};
  table.exact_products = {product<row_product<static_cast<PackedFormat>(kFormats), true>()>...};
  return table;
}

}  // namespace

const Kernels& scalar_kernels() noexcept {
  static constexpr Kernels kVectorKernels = {
      .quantize = quantize,
      .dot = dot,
      .axpy = axpy,
      .swiglu_pairs = swiglu_pairs,
      .silu = silu,
      .convolve = convolve,
      .largest = largest,
      .exp_sum = exp_sum,
      .matmul = matmul,
      .solve = solve,
      .delta_step = delta_step,
      .to_f16 = to_f16,
      .from_f16 = from_f16,
      .score_keys = score_keys<float>,
      .score_keys_f16 = score_keys<std::uint16_t>,
      .add_values = add_values<float>,
      .add_values_f16 = add_values<std::uint16_t>,
      .read_all = read_all,
  };
  static constexpr Kernels kTable = with_products(kVectorKernels, std::make_index_sequence<kPackedFormats>());
  return kTable;
}

}  // namespace lattice::cpu
