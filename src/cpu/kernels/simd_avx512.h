// Registers of AVX-512 F, BW, DQ and VL, as the kernel templates want them. Included by files that are
// compiled with those flags and by no others; in an anonymous namespace, so that nothing compiled with them
// can be merged into code that runs without them.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include "cpu/kernels/transpose_avx2.h"

namespace lattice::cpu {
namespace {

struct Avx512 {
  using Float = __m512;
  using Int = __m512i;  // 32-bit lanes
  static constexpr int kLanes = 16;
  // Thirty-two registers: 12 × 2 sums of a tile use each load twelve times or twice.
  static constexpr int kTileRows = 12;
  static constexpr int kTileVectors = 2;
  static constexpr int kSquare = 8;       // that transpose() takes
  static constexpr int kFloatTokens = 8;  // × 2 registers of rows: 16 sums
  static constexpr int kFloatChains = 4;  // one token: 4 sums hide the latency of FMA, 4 cycles at 1 a cycle
  static constexpr int kFloatStepTokens = 4;  // × 4 sums
  static constexpr int kStepVectors = 1;
  static constexpr int kTileKeys = 4;    // × 4 heads: 16 sums or weights, 4 rows
  static constexpr int kInt8Tokens = 8;  // 8 sums and 8 products
  static constexpr int kInt8Vectors = 1;
  static constexpr int kDotTokens = 6;      // × 2 registers of rows: 12 products, 12 sums
  static constexpr int kDotHalfTokens = 4;  // × 2 registers of rows: 8 products of each half, 8 sums

  static Float zero() { return _mm512_setzero_ps(); }
  static Float set1(float x) { return _mm512_set1_ps(x); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
  static Float load_f16(const std::uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Float load_bf16(const std::uint16_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return as_float(shift_left<16>(wide));
  }
  static void store_f16(std::uint16_t* p, Float x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  /// kLanes pairs → their first and their second members.
  static void load_pairs(const float* p, Float* first, Float* second) {
    const Int even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *first = _mm512_permutex2var_ps(load(p), even, load(p + 16));
    *second = _mm512_permutex2var_ps(load(p), add_int(even, set1_int(1)), load(p + 16));
  }
  /// a·b + c, rounded once.
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float abs(Float a) { return _mm512_abs_ps(a); }
  static Float round(Float a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  /// 2ⁿ for whole n in −126 … 127.
  static Float power_of_two(Float n) {
    return as_float(shift_left<23>(add_int(_mm512_cvtps_epi32(n), set1_int(127))));
  }
  /// `value`, or 0 in the lanes where x < limit.
  static Float zero_where_below(Float x, Float limit, Float value) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), value);
  }
  static float sum(Float v) { return _mm512_reduce_add_ps(v); }
  static float largest(Float v) { return _mm512_reduce_max_ps(v); }

  /// out[j · to + i] = in[i · from + j] for i and j below kSquare.
  static void transpose(const float* in, std::int64_t from, float* out, std::int64_t to) {
    transpose_8x8(in, from, out, to);
  }

  static Int zero_int() { return _mm512_setzero_si512(); }
  static Int set1_int(std::int32_t x) { return _mm512_set1_epi32(x); }
  static Int load_bytes(const std::byte* p) { return _mm512_loadu_si512(p); }
  static void store_int(std::byte* p, Int a) { _mm512_storeu_si512(p, a); }
  /// kLanes bytes, one a lane.
  static Int load_u8(const std::byte* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Int load_i8(const std::byte* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Int add_int(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int sub_int(Int a, Int b) { return _mm512_sub_epi32(a, b); }
  static Int and_int(Int a, Int b) { return _mm512_and_si512(a, b); }
  static Int xor_int(Int a, Int b) { return _mm512_xor_si512(a, b); }
  static Int or_int(Int a, Int b) { return _mm512_or_si512(a, b); }
  template <int kBits>
  static Int shift_left(Int a) {
    return _mm512_slli_epi32(a, kBits);
  }
  /// Arithmetic.
  template <int kBits>
  static Int shift_right(Int a) {
    return _mm512_srai_epi32(a, kBits);
  }
  static Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  static Float as_float(Int a) { return _mm512_castsi512_ps(a); }
  static Int to_nearest_int(Float a) { return _mm512_cvtps_epi32(a); }
  /// The lanes, which fit a byte, as kLanes bytes.
  static void store_bytes(std::int8_t* p, Int a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
  }
  static std::int32_t sum_int(Int v) { return _mm512_reduce_add_epi32(v); }
};

}  // namespace
}  // namespace lattice::cpu
