// Registers of AVX2 with FMA and F16C, as the kernel templates want them. Included by files that are compiled
// with -mavx2 -mfma -mf16c and by no others; in an anonymous namespace, so that nothing compiled with those
// flags can be merged into code that runs without them.
#pragma once

#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include "cpu/kernels/transpose_avx2.h"

namespace lattice::cpu {
namespace {

struct Avx2 {
  using Float = __m256;
  using Int = __m256i;  // 32-bit lanes
  static constexpr int kLanes = 8;
  // Sixteen registers. Twelve sums of a 3 × 4 tile hide the latency of FMA, 4 cycles at 2 a cycle, with 7
  // loads where a 6 × 2 tile has 8.
  static constexpr int kTileRows = 3;
  static constexpr int kTileVectors = 4;
  static constexpr int kSquare = 8;           // that transpose() takes
  static constexpr int kFloatTokens = 6;      // × 2 registers of rows: 12 sums
  static constexpr int kFloatChains = 2;      // × 2 registers of rows, one token: as fast as 4 in cache
  static constexpr int kFloatStepTokens = 2;  // × 2 sums × 2 registers of rows
  static constexpr int kStepVectors = 2;
  static constexpr int kTileKeys = 2;    // × 4 heads: 8 sums or weights, 2 rows, 4 loads
  static constexpr int kInt8Tokens = 4;  // 4 sums, 4 products, codes and their magnitudes
  static constexpr int kInt8Vectors = 1;

  static Float zero() { return _mm256_setzero_ps(); }
  static Float set1(float x) { return _mm256_set1_ps(x); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float x) { _mm256_storeu_ps(p, x); }
  static Float load_f16(const std::uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Float load_bf16(const std::uint16_t* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return as_float(shift_left<16>(wide));
  }
  static void store_f16(std::uint16_t* p, Float x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  /// kLanes pairs → their first and their second members.
  static void load_pairs(const float* p, Float* first, Float* second) {
    const Float a = load(p);      // f0 s0 f1 s1 | f2 s2 f3 s3
    const Float b = load(p + 8);  // f4 s4 f5 s5 | f6 s6 f7 s7
    const Float low = _mm256_permute2f128_ps(a, b, 0x20);
    const Float high = _mm256_permute2f128_ps(a, b, 0x31);
    *first = _mm256_shuffle_ps(low, high, 0x88);
    *second = _mm256_shuffle_ps(low, high, 0xdd);
  }
  /// a·b + c, rounded once.
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float abs(Float a) { return _mm256_andnot_ps(set1(-0.0f), a); }
  static Float round(Float a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  /// 2ⁿ for whole n in −126 … 127.
  static Float power_of_two(Float n) {
    return as_float(shift_left<23>(add_int(_mm256_cvtps_epi32(n), set1_int(127))));
  }
  /// `value`, or 0 in the lanes where x < limit.
  static Float zero_where_below(Float x, Float limit, Float value) {
    return _mm256_andnot_ps(_mm256_cmp_ps(x, limit, _CMP_LT_OQ), value);
  }
  static float sum(Float v) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    sum = _mm_add_ss(sum, _mm_movehdup_ps(sum));
    return _mm_cvtss_f32(sum);
  }
  static float largest(Float v) {
    __m128 highest = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    highest = _mm_max_ps(highest, _mm_movehl_ps(highest, highest));
    highest = _mm_max_ss(highest, _mm_movehdup_ps(highest));
    return _mm_cvtss_f32(highest);
  }

  /// out[j · to + i] = in[i · from + j] for i and j below kSquare.
  static void transpose(const float* in, std::int64_t from, float* out, std::int64_t to) {
    transpose_8x8(in, from, out, to);
  }

  static Int zero_int() { return _mm256_setzero_si256(); }
  static Int set1_int(std::int32_t x) { return _mm256_set1_epi32(x); }
  static Int load_bytes(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_int(std::byte* p, Int a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
  /// kLanes bytes, one a lane.
  static Int load_u8(const std::byte* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static Int load_i8(const std::byte* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static Int add_int(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int sub_int(Int a, Int b) { return _mm256_sub_epi32(a, b); }
  static Int and_int(Int a, Int b) { return _mm256_and_si256(a, b); }
  static Int xor_int(Int a, Int b) { return _mm256_xor_si256(a, b); }
  static Int or_int(Int a, Int b) { return _mm256_or_si256(a, b); }
  template <int kBits>
  static Int shift_left(Int a) {
    return _mm256_slli_epi32(a, kBits);
  }
  /// Arithmetic.
  template <int kBits>
  static Int shift_right(Int a) {
    return _mm256_srai_epi32(a, kBits);
  }
  static Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }
  static Float as_float(Int a) { return _mm256_castsi256_ps(a); }
  static Int to_nearest_int(Float a) { return _mm256_cvtps_epi32(a); }
  /// The lanes, which fit a byte, as kLanes bytes.
  static void store_bytes(std::int8_t* p, Int a) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  static std::int32_t sum_int(Int v) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm_cvtsi128_si32(sum);
  }
};

}  // namespace
}  // namespace lattice::cpu
