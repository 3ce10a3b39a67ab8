// Every kernel in plain C++: what runs on any processor, and what the others are read beside.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/kernels/kernels.h"
#include "support/float16.h"

namespace lattice::cpu {
namespace {

std::uint16_t u16_at(const std::byte* p, std::int64_t index) {
  std::uint16_t value;
  std::memcpy(&value, p + 2 * index, sizeof value);
  return value;
}

struct BlockF32 {
  static constexpr std::int64_t kRowBytes = 128;
  static float at(const std::byte* row, std::int64_t c) {
    float value;
    std::memcpy(&value, row + 4 * c, sizeof value);
    return value;
  }
};

struct BlockF16 {
  static constexpr std::int64_t kRowBytes = 64;
  static float at(const std::byte* row, std::int64_t c) { return f16_to_f32(u16_at(row, c)); }
};

struct BlockBF16 {
  static constexpr std::int64_t kRowBytes = 64;
  static float at(const std::byte* row, std::int64_t c) { return bf16_to_f32(u16_at(row, c)); }
};

struct BlockQ8 {
  static constexpr std::int64_t kRowBytes = 32;
  static int code(const std::byte* row, std::int64_t c) { return static_cast<std::int8_t>(row[c]); }
  static float at(const std::byte* row, std::int64_t c) { return static_cast<float>(code(row, c)); }
};

struct BlockQ4 {
  static constexpr std::int64_t kRowBytes = 16;
  static int code(const std::byte* row, std::int64_t c) {
    const int byte = static_cast<int>(row[c % 16]);
    return (c < 16 ? byte & 15 : byte >> 4) - 8;
  }
  static float at(const std::byte* row, std::int64_t c) { return static_cast<float>(code(row, c)); }
};

template <typename Block>
const std::byte* row_of(const PackedRows& weights, std::int64_t group, std::int64_t block, std::int64_t row) {
  return weights.quants + ((group * weights.blocks + block) * kGroupRows + row) * Block::kRowBytes;
}

float scale_of(const PackedRows& weights, std::int64_t group, std::int64_t block, std::int64_t row) {
  return f16_to_f32(weights.scales[(group * weights.blocks + block) * kGroupRows + row]);
}

template <typename Block, bool kScaled>
float row_float(const PackedRows& weights, std::int64_t group, std::int64_t row, const Activation& x) {
  float sum = 0.0f;
  for (std::int64_t block = 0; block < weights.blocks; ++block) {
    const std::byte* w = row_of<Block>(weights, group, block, row);
    float partial = 0.0f;
    for (std::int64_t c = 0; c < kBlock; ++c) partial += Block::at(w, c) * x.values[block * kBlock + c];
    sum += kScaled ? scale_of(weights, group, block, row) * partial : partial;
  }
  return sum;
}

template <typename Block>
float row_int8(const PackedRows& weights, std::int64_t group, std::int64_t row, const Activation& x) {
  float sum = 0.0f;
  for (std::int64_t block = 0; block < weights.blocks; ++block) {
    const std::byte* w = row_of<Block>(weights, group, block, row);
    int products = 0;
    for (std::int64_t c = 0; c < kBlock; ++c) products += Block::code(w, c) * x.quants[block * kBlock + c];
    sum += scale_of(weights, group, block, row) * x.scales[block] * static_cast<float>(products);
  }
  return sum;
}

using Row = float (*)(const PackedRows&, std::int64_t, std::int64_t, const Activation&);

template <Row kRow>
void gemv(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation& x, float* y) {
  for (std::int64_t group = first; group < last; ++group) {
    for (std::int64_t row = 0; row < kGroupRows; ++row)
      y[group * kGroupRows + row] = kRow(weights, group, row, x);
  }
}

template <Row kRow>
void gemm(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
          std::int64_t tokens, float* y, std::int64_t stride) {
  for (std::int64_t row = first * kGroupRows; row < std::min(last * kGroupRows, weights.rows); ++row) {
    for (std::int64_t t = 0; t < tokens; ++t)
      y[t * stride + row] = kRow(weights, row / kGroupRows, row % kGroupRows, x[t]);
  }
}

template <Row kRow>
constexpr FormatKernels kFormat = {.gemv = gemv<kRow>, .gemm = gemm<kRow>};

void quantize(const float* values, std::int64_t blocks, std::int8_t* quants, float* scales, float* sums) {
  for (std::int64_t block = 0; block < blocks; ++block, values += kBlock, quants += kBlock) {
    float highest = 0.0f;
    for (std::int64_t c = 0; c < kBlock; ++c) highest = std::max(highest, std::fabs(values[c]));
    const float scale = highest / 127.0f;
    const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    int total = 0;
    for (std::int64_t c = 0; c < kBlock; ++c) {
      const auto q = static_cast<int>(std::nearbyint(values[c] * inverse));
      quants[c] = static_cast<std::int8_t>(q);
      total += q;
    }
    scales[block] = scale;
    sums[block] = scale * static_cast<float>(total);
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

void matmul(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
            std::int64_t c_stride, std::int64_t m, std::int64_t n, std::int64_t k, bool accumulate) {
  for (std::int64_t row = 0; row < m; ++row) {
    float* out = c + row * c_stride;
    if (!accumulate) std::fill(out, out + n, 0.0f);
    for (std::int64_t i = 0; i < k; ++i) axpy(a[row * a_stride + i], b + i * b_stride, out, n);
  }
}

float delta_row(float* s, const float* k, const float* q, float decay, float beta, float v, float kq,
                std::int64_t n) {
  const float u = beta * (v - decay * dot(s, k, n));
  const float read = decay * dot(s, q, n);
  for (std::int64_t i = 0; i < n; ++i) s[i] = decay * s[i] + u * k[i];
  return read + u * kq;
}

void to_f16(const float* in, std::uint16_t* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f32_to_f16(in[i]);
}

void from_f16(const std::uint16_t* in, float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f16_to_f32(in[i]);
}

float dot_f16(const float* a, const std::uint16_t* b, std::int64_t n) {
  float sum = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * f16_to_f32(b[i]);
  return sum;
}

void axpy_f16(float a, const std::uint16_t* x, float* y, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += a * f16_to_f32(x[i]);
}

std::uint64_t read_all(const std::byte* from, std::int64_t bytes) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < bytes; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, from + i, sizeof word);
    sum += word;
  }
  return sum;
}

}  // namespace

const Kernels& scalar_kernels() noexcept {
  static constexpr Kernels kTable = {
      .f32 = kFormat<row_float<BlockF32, false>>,
      .f16 = kFormat<row_float<BlockF16, false>>,
      .bf16 = kFormat<row_float<BlockBF16, false>>,
      .q8_0 = kFormat<row_int8<BlockQ8>>,
      .q4_0 = kFormat<row_int8<BlockQ4>>,
      .q8_0_exact = kFormat<row_float<BlockQ8, true>>,
      .q4_0_exact = kFormat<row_float<BlockQ4, true>>,
      .quantize = quantize,
      .dot = dot,
      .axpy = axpy,
      .swiglu_pairs = swiglu_pairs,
      .silu = silu,
      .matmul = matmul,
      .delta_row = delta_row,
      .to_f16 = to_f16,
      .from_f16 = from_f16,
      .dot_f16 = dot_f16,
      .axpy_f16 = axpy_f16,
      .read_all = read_all,
  };
  return kTable;
}

}  // namespace lattice::cpu
