// Every kernel in plain C++: what runs on any processor, and what the others are read beside.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/kernels/kernels.h"
#include "support/float16.h"

namespace lattice::cpu {
namespace {

std::uint16_t u16_at(const std::byte* p, std::int64_t index) {
  std::uint16_t value;
  std::memcpy(&value, p + 2 * index, sizeof value);
  return value;
}

/// Word `word` of row `row` in the packed block that starts at `block`.
const std::byte* word_at(const std::byte* block, std::int64_t word, std::int64_t row, std::int64_t bytes) {
  return block + (word * kGroupRows + row) * bytes;
}

/// Column c of a row, in a packed block of 16 rows.
struct BlockF32 {
  static constexpr std::int64_t kRowBytes = 128;
  static float at(const std::byte* block, std::int64_t row, std::int64_t c) {
    float value;
    std::memcpy(&value, word_at(block, c, row, 4), sizeof value);
    return value;
  }
};

struct BlockF16 {
  static constexpr std::int64_t kRowBytes = 64;
  static float at(const std::byte* block, std::int64_t row, std::int64_t c) {
    return f16_to_f32(u16_at(word_at(block, c, row, 2), 0));
  }
};

struct BlockBF16 {
  static constexpr std::int64_t kRowBytes = 64;
  static float at(const std::byte* block, std::int64_t row, std::int64_t c) {
    return bf16_to_f32(u16_at(word_at(block, c / 2, row, 4), c % 2));
  }
};

struct BlockQ8 {
  static constexpr std::int64_t kRowBytes = 32;
  static int code(const std::byte* block, std::int64_t row, std::int64_t c) {
    return static_cast<std::int8_t>(word_at(block, c / 4, row, 4)[c % 4]);
  }
  static float at(const std::byte* block, std::int64_t row, std::int64_t c) {
    return static_cast<float>(code(block, row, c));
  }
};

struct BlockQ4 {
  static constexpr std::int64_t kRowBytes = 16;
  static int code(const std::byte* block, std::int64_t row, std::int64_t c) {
    const int byte = static_cast<int>(word_at(block, c % 16 / 4, row, 4)[c % 4]);
    return (c < 16 ? byte & 15 : byte >> 4) - 8;
  }
  static float at(const std::byte* block, std::int64_t row, std::int64_t c) {
    return static_cast<float>(code(block, row, c));
  }
};

template <typename Block>
const std::byte* block_at(const PackedRows& weights, std::int64_t group, std::int64_t block) {
  return weights.quants + (group * weights.blocks + block) * kGroupRows * Block::kRowBytes;
}

float scale_of(const PackedRows& weights, std::int64_t group, std::int64_t block, std::int64_t row) {
  return f16_to_f32(weights.scales[(group * weights.blocks + block) * kGroupRows + row]);
}

template <typename Block, bool kScaled>
float row_float(const PackedRows& weights, std::int64_t group, std::int64_t row, const Activation& x) {
  float sum = 0.0f;
  for (std::int64_t block = 0; block < weights.blocks; ++block) {
    const std::byte* w = block_at<Block>(weights, group, block);
    float partial = 0.0f;
    for (std::int64_t c = 0; c < kBlock; ++c) partial += Block::at(w, row, c) * x.values[block * kBlock + c];
    sum += kScaled ? scale_of(weights, group, block, row) * partial : partial;
  }
  return sum;
}

template <typename Block>
float row_int8(const PackedRows& weights, std::int64_t group, std::int64_t row, const Activation& x) {
  float sum = 0.0f;
  for (std::int64_t block = 0; block < weights.blocks; ++block) {
    const std::byte* w = block_at<Block>(weights, group, block);
    int products = 0;
    for (std::int64_t c = 0; c < kBlock; ++c)
      products += Block::code(w, row, c) * x.quants[block * kBlock + c];
    sum += scale_of(weights, group, block, row) * x.scales[block] * static_cast<float>(products);
  }
  return sum;
}

using Row = float (*)(const PackedRows&, std::int64_t, std::int64_t, const Activation&);

template <Row kRow>
void product(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
             std::int64_t tokens, float* y, std::int64_t stride) {
  for (std::int64_t row = first * kGroupRows; row < std::min(last * kGroupRows, weights.rows); ++row) {
    for (std::int64_t t = 0; t < tokens; ++t)
      y[t * stride + row] = kRow(weights, row / kGroupRows, row % kGroupRows, x[t]);
  }
}

void quantize(const float* values, std::int64_t blocks, std::int8_t* quants, float* scales,
              std::int32_t* totals) {
  for (std::int64_t block = 0; block < blocks; ++block, values += kBlock, quants += kBlock) {
    float highest = 0.0f;
    bool finite = true;
    for (std::int64_t c = 0; c < kBlock; ++c) {
      highest = std::max(highest, std::fabs(values[c]));
      finite = finite && std::isfinite(values[c]);
    }
    const float scale = highest / 127.0f;
    totals[block] = 0;
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

float exp_sum(float* x, float factor, float shift, std::int64_t n) {
  float sum = 0.0f;
  for (std::int64_t i = 0; i < n; ++i) {
    const float exponent = x[i] * factor - shift;
    sum += x[i] = exponent < -87.0f ? 0.0f : std::exp(exponent);
  }
  return sum;
}

void matmul(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
            std::int64_t c_stride, std::int64_t m, std::int64_t n, std::int64_t k, bool accumulate) {
  for (std::int64_t row = 0; row < m; ++row) {
    float* out = c + row * c_stride;
    if (!accumulate) std::fill(out, out + n, 0.0f);
    for (std::int64_t i = 0; i < k; ++i) axpy(a[row * a_stride + i], b + i * b_stride, out, n);
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
      .f32 = product<row_float<BlockF32, false>>,
      .f16 = product<row_float<BlockF16, false>>,
      .bf16 = product<row_float<BlockBF16, false>>,
      .q8_0 = product<row_int8<BlockQ8>>,
      .q4_0 = product<row_int8<BlockQ4>>,
      .q8_0_exact = product<row_float<BlockQ8, true>>,
      .q4_0_exact = product<row_float<BlockQ4, true>>,
      .quantize = quantize,
      .dot = dot,
      .axpy = axpy,
      .swiglu_pairs = swiglu_pairs,
      .silu = silu,
      .exp_sum = exp_sum,
      .matmul = matmul,
      .delta_step = delta_step,
      .to_f16 = to_f16,
      .from_f16 = from_f16,
      .dot_f16 = dot_f16,
      .axpy_f16 = axpy_f16,
      .read_all = read_all,
  };
  return kTable;
}

}  // namespace lattice::cpu
