// Included by the descriptions of x86's instruction sets that have AVX2.
#pragma once

#include <cstdint>

#include <immintrin.h>

namespace lattice::cpu {
namespace {

/// out[j · to + i] = in[i · from + j] for i and j below 8.
inline void transpose_8x8(const float* in, std::int64_t from, float* out, std::int64_t to) {
  // Rows i and i + 4 in the halves of a register, so that what is left is 4 × 4 in each half.
  const auto rows = [&](std::int64_t row, std::int64_t column) {
    const float* at = in + row * from + column;
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)), _mm_loadu_ps(at + 4 * from), 1);
  };
  for (std::int64_t column = 0; column < 8; column += 4) {
    const __m256 r0 = rows(0, column);
    const __m256 r1 = rows(1, column);
    const __m256 r2 = rows(2, column);
    const __m256 r3 = rows(3, column);
    const __m256 low01 = _mm256_unpacklo_ps(r0, r1);  // 00 10 01 11
    const __m256 high01 = _mm256_unpackhi_ps(r0, r1);
    const __m256 low23 = _mm256_unpacklo_ps(r2, r3);
    const __m256 high23 = _mm256_unpackhi_ps(r2, r3);
    float* at = out + column * to;
    _mm256_storeu_ps(at, _mm256_shuffle_ps(low01, low23, 0x44));
    _mm256_storeu_ps(at + to, _mm256_shuffle_ps(low01, low23, 0xee));
    _mm256_storeu_ps(at + 2 * to, _mm256_shuffle_ps(high01, high23, 0x44));
    _mm256_storeu_ps(at + 3 * to, _mm256_shuffle_ps(high01, high23, 0xee));
  }
}

}  // namespace
}  // namespace lattice::cpu
