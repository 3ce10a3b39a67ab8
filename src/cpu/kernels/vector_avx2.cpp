// What the forward pass does to vectors and small matrices, for AVX2 with FMA and F16C.

#include <cstring>

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd_avx2.h"
#include "cpu/kernels/tables_avx2.h"

namespace lattice::cpu {
namespace {

float horizontal_max(__m256 v) {
  __m128 highest = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  highest = _mm_max_ps(highest, _mm_movehl_ps(highest, highest));
  highest = _mm_max_ss(highest, _mm_movehdup_ps(highest));
  return _mm_cvtss_f32(highest);
}

int horizontal_sum_epi32(__m256i v) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  return _mm_cvtsi128_si32(sum);
}

void quantize(const float* values, std::int64_t blocks, std::int8_t* quants, float* scales, float* sums) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  for (std::int64_t block = 0; block < blocks; ++block, values += kBlock, quants += kBlock) {
    __m256 v[4];
    __m256 highest = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(values + 8 * i);
      highest = _mm256_max_ps(highest, _mm256_andnot_ps(sign, v[i]));
    }
    const float scale = horizontal_max(highest) / 127.0f;
    const __m256 inverse = _mm256_set1_ps(scale > 0.0f ? 1.0f / scale : 0.0f);
    __m256i q[4];
    for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    const __m256i total = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    // Packing works within halves and leaves the groups of four in the order 0 4 1 5 2 6 3 7 of the eight.
    const __m256i words01 = _mm256_packs_epi32(q[0], q[1]);
    const __m256i words23 = _mm256_packs_epi32(q[2], q[3]);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words01, words23),
                                                      _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(quants), bytes);
    scales[block] = scale;
    sums[block] = scale * static_cast<float>(horizontal_sum_epi32(total));
  }
}

float dot(const float* a, const float* b, std::int64_t n) {
  __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sums[0]);
    sums[1] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), sums[1]);
  }
  if (i < n) sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sums[0]);
  return horizontal_sum(_mm256_add_ps(sums[0], sums[1]));
}

void axpy(float a, const float* x, float* y, std::int64_t n) {
  const __m256 factor = _mm256_set1_ps(a);
  for (std::int64_t i = 0; i < n; i += 8) {
    _mm256_storeu_ps(y + i, _mm256_fmadd_ps(factor, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  }
}

__m256 load_f16(const std::uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

float dot_f16(const float* a, const std::uint16_t* b, std::int64_t n) {
  __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), load_f16(b + i), sums[0]);
    sums[1] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), load_f16(b + i + 8), sums[1]);
  }
  if (i < n) sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), load_f16(b + i), sums[0]);
  return horizontal_sum(_mm256_add_ps(sums[0], sums[1]));
}

void axpy_f16(float a, const std::uint16_t* x, float* y, std::int64_t n) {
  const __m256 factor = _mm256_set1_ps(a);
  for (std::int64_t i = 0; i < n; i += 8)
    _mm256_storeu_ps(y + i, _mm256_fmadd_ps(factor, load_f16(x + i), _mm256_loadu_ps(y + i)));
}

void to_f16(const float* in, std::uint16_t* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
  }
}

void from_f16(const std::uint16_t* in, float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 8) _mm256_storeu_ps(out + i, load_f16(in + i));
}

void silu(float* x, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, silu_ps(_mm256_loadu_ps(x + i)));
  if (i == n) return;
  alignas(32) float tail[8] = {};
  std::memcpy(tail, x + i, static_cast<std::size_t>(n - i) * sizeof(float));
  _mm256_store_ps(tail, silu_ps(_mm256_load_ps(tail)));
  std::memcpy(x + i, tail, static_cast<std::size_t>(n - i) * sizeof(float));
}

/// Eight (gate, up) pairs → eight activations.
__m256 swiglu_eight(const float* pairs) {
  const __m256 a = _mm256_loadu_ps(pairs);      // g0 u0 g1 u1 | g2 u2 g3 u3
  const __m256 b = _mm256_loadu_ps(pairs + 8);  // g4 u4 g5 u5 | g6 u6 g7 u7
  const __m256 low = _mm256_permute2f128_ps(a, b, 0x20);
  const __m256 high = _mm256_permute2f128_ps(a, b, 0x31);
  const __m256 gate = _mm256_shuffle_ps(low, high, 0x88);  // g0 g1 g2 g3 | g4 g5 g6 g7
  const __m256 up = _mm256_shuffle_ps(low, high, 0xdd);
  return _mm256_mul_ps(silu_ps(gate), up);
}

void swiglu_pairs(const float* pairs, float* out, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, swiglu_eight(pairs + 2 * i));
  if (i == n) return;
  alignas(32) float tail[16] = {};
  std::memcpy(tail, pairs + 2 * i, static_cast<std::size_t>(n - i) * 2 * sizeof(float));
  alignas(32) float result[8];
  _mm256_store_ps(result, swiglu_eight(tail));
  std::memcpy(out + i, result, static_cast<std::size_t>(n - i) * sizeof(float));
}

/// kRows × 16 of c: twelve of the sixteen registers at kRows = 6 hold sums, which hides the latency of FMA (4
/// × 2 a cycle).
template <int kRows>
void matmul_tile(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
                 std::int64_t c_stride, std::int64_t k, bool accumulate) {
  __m256 sums[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    sums[r][0] = accumulate ? _mm256_loadu_ps(c + r * c_stride) : _mm256_setzero_ps();
    sums[r][1] = accumulate ? _mm256_loadu_ps(c + r * c_stride + 8) : _mm256_setzero_ps();
  }
  for (std::int64_t i = 0; i < k; ++i) {
    const __m256 b0 = _mm256_loadu_ps(b + i * b_stride);
    const __m256 b1 = _mm256_loadu_ps(b + i * b_stride + 8);
    for (int r = 0; r < kRows; ++r) {
      const __m256 factor = _mm256_broadcast_ss(a + r * a_stride + i);
      sums[r][0] = _mm256_fmadd_ps(factor, b0, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(factor, b1, sums[r][1]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    _mm256_storeu_ps(c + r * c_stride, sums[r][0]);
    _mm256_storeu_ps(c + r * c_stride + 8, sums[r][1]);
  }
}

void matmul(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
            std::int64_t c_stride, std::int64_t m, std::int64_t n, std::int64_t k, bool accumulate) {
  for (std::int64_t column = 0; column < n; column += 16) {
    std::int64_t row = 0;
    for (; row + 6 <= m; row += 6) {
      matmul_tile<6>(a + row * a_stride, a_stride, b + column, b_stride, c + row * c_stride + column,
                     c_stride, k, accumulate);
    }
    for (; row < m; ++row) {
      matmul_tile<1>(a + row * a_stride, a_stride, b + column, b_stride, c + row * c_stride + column,
                     c_stride, k, accumulate);
    }
  }
}

float delta_row(float* s, const float* k, const float* q, float decay, float beta, float v, float kq,
                std::int64_t n) {
  __m256 predicted = _mm256_setzero_ps();
  __m256 read = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 row = _mm256_loadu_ps(s + i);
    predicted = _mm256_fmadd_ps(row, _mm256_loadu_ps(k + i), predicted);
    read = _mm256_fmadd_ps(row, _mm256_loadu_ps(q + i), read);
  }
  const float u = beta * (v - decay * horizontal_sum(predicted));
  const __m256 factor = _mm256_set1_ps(u);
  const __m256 keep = _mm256_set1_ps(decay);
  for (std::int64_t i = 0; i < n; i += 8) {
    const __m256 kept = _mm256_mul_ps(keep, _mm256_loadu_ps(s + i));
    _mm256_storeu_ps(s + i, _mm256_fmadd_ps(factor, _mm256_loadu_ps(k + i), kept));
  }
  return decay * horizontal_sum(read) + u * kq;
}

std::uint64_t read_all(const std::byte* from, std::int64_t bytes) {
  __m256i sums[4] = {};
  for (std::int64_t i = 0; i < bytes; i += 128) {
    _mm_prefetch(reinterpret_cast<const char*>(from + i + kPrefetchBytes), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(from + i + kPrefetchBytes + 64), _MM_HINT_T0);
    for (int j = 0; j < 4; ++j) {
      sums[j] = _mm256_add_epi64(sums[j], _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i) + j));
    }
  }
  const __m256i sum =
      _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  alignas(32) std::uint64_t words[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words), sum);
  return words[0] + words[1] + words[2] + words[3];
}

}  // namespace

void add_vectors_avx2(Kernels& table) noexcept {
  table.quantize = quantize;
  table.dot = dot;
  table.axpy = axpy;
  table.swiglu_pairs = swiglu_pairs;
  table.silu = silu;
  table.matmul = matmul;
  table.delta_row = delta_row;
  table.to_f16 = to_f16;
  table.from_f16 = from_f16;
  table.dot_f16 = dot_f16;
  table.axpy_f16 = axpy_f16;
  table.read_all = read_all;
}

const Kernels& avx2_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels;
    add_products_avx2(kernels);
    add_vectors_avx2(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
