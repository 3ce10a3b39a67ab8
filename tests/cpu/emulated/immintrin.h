// Stands in for the compiler's header of this name where the AVX-VNNI, AVX-512 and AMX kernels are compiled
// for a processor that has none of them (tools/test_avx512.sh): the functions that they use, element by
// element, after Intel's descriptions. No rounding mode but the nearest is taken.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include_next <immintrin.h>

namespace emulated {

template <typename T, int kCount>
struct Lanes {
  T of[kCount];
};

/// f of each number of a vector, and of the one in the same place of each further vector.
template <typename Out, typename To, typename From, int kCount, typename F, typename... In>
Out map(const F& f, In... in) {
  static_assert(((sizeof(Lanes<From, kCount>) == sizeof(In)) && ...));
  static_assert(sizeof(Lanes<To, kCount>) == sizeof(Out));
  Lanes<To, kCount> out;
  for (int i = 0; i < kCount; ++i) out.of[i] = f(std::bit_cast<Lanes<From, kCount>>(in).of[i]...);
  return std::bit_cast<Out>(out);
}
template <typename F, typename... In>
__m512 floats(const F& f, In... in) {
  return map<__m512, float, float, 16>(f, in...);
}
template <typename F, typename... In>
__m512i ints(const F& f, In... in) {
  return map<__m512i, std::int32_t, std::int32_t, 16>(f, in...);
}
template <typename F, typename... In>
__m512i words(const F& f, In... in) {
  return map<__m512i, std::uint32_t, std::uint32_t, 16>(f, in...);
}

template <typename T, typename In, typename F>
T reduce(In in, const F& f) {
  auto all = std::bit_cast<Lanes<T, 16>>(in);
  for (int step = 8; step > 0; step /= 2) {
    for (int i = 0; i < step; ++i) all.of[i] = f(all.of[i], all.of[i + step]);
  }
  return all.of[0];
}

template <typename T>
T load(const void* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

inline std::int16_t saturated(int x) {
  return static_cast<std::int16_t>(x > 32767 ? 32767 : (x < -32768 ? -32768 : x));
}

inline __m512 setzero_ps() {
  return __m512{};
}
inline __m512i setzero_si512() {
  return __m512i{};
}
inline __m512 set1_ps(float x) {
  return floats([x](float) { return x; }, __m512{});
}
inline __m512i set1_epi32(std::int32_t x) {
  return ints([x](std::int32_t) { return x; }, __m512i{});
}
inline __m512i set1_epi16(std::int16_t x) {
  return map<__m512i, std::int16_t, std::int16_t, 32>([x](std::int16_t) { return x; }, __m512i{});
}
inline __m512i set1_epi8(int x) {
  return map<__m512i, std::int8_t, std::int8_t, 64>([x](std::int8_t) { return static_cast<std::int8_t>(x); },
                                                    __m512i{});
}
template <typename... Ints>
__m512i setr_epi32(Ints... x) {
  return std::bit_cast<__m512i>(Lanes<std::int32_t, 16>{{x...}});
}
inline __m512 loadu_ps(const float* p) {
  return load<__m512>(p);
}
inline __m512i loadu_si512(const void* p) {
  return load<__m512i>(p);
}
inline void storeu_si512(void* p, __m512i x) {
  std::memcpy(p, &x, sizeof x);
}
inline void storeu_ps(float* p, __m512 x) {
  std::memcpy(p, &x, sizeof x);
}
inline __m512 permutex2var_ps(__m512 a, __m512i index, __m512 b) {
  const auto low = std::bit_cast<Lanes<float, 16>>(a);
  const auto high = std::bit_cast<Lanes<float, 16>>(b);
  return map<__m512, float, std::int32_t, 16>(
      [&](std::int32_t i) { return (i & 16) != 0 ? high.of[i & 15] : low.of[i & 15]; }, index);
}

inline __m512 fmadd_ps(__m512 a, __m512 b, __m512 c) {
  return floats([](float x, float y, float z) { return std::fma(x, y, z); }, a, b, c);
}
inline __m512 add_ps(__m512 a, __m512 b) {
  return floats([](float x, float y) { return x + y; }, a, b);
}
inline __m512 sub_ps(__m512 a, __m512 b) {
  return floats([](float x, float y) { return x - y; }, a, b);
}
inline __m512 mul_ps(__m512 a, __m512 b) {
  return floats([](float x, float y) { return x * y; }, a, b);
}
inline __m512 div_ps(__m512 a, __m512 b) {
  return floats([](float x, float y) { return x / y; }, a, b);
}
inline __m512 min_ps(__m512 a, __m512 b) {  // the second where there is a NaN
  return floats([](float x, float y) { return x < y ? x : y; }, a, b);
}
inline __m512 max_ps(__m512 a, __m512 b) {
  return floats([](float x, float y) { return x > y ? x : y; }, a, b);
}
inline __m512 abs_ps(__m512 a) {
  return floats([](float x) { return std::fabs(x); }, a);
}
inline __m512 roundscale_ps(__m512 a, int) {
  return floats([](float x) { return std::nearbyint(x); }, a);
}
inline __mmask16 cmp_ps_mask_not_less(__m512 a, __m512 b) {
  const auto x = std::bit_cast<Lanes<float, 16>>(a);
  const auto y = std::bit_cast<Lanes<float, 16>>(b);
  unsigned mask = 0;
  for (int i = 0; i < 16; ++i) mask |= static_cast<unsigned>(!(x.of[i] < y.of[i])) << i;
  return static_cast<__mmask16>(mask);
}
inline __m512 maskz_mov_ps(__mmask16 mask, __m512 a) {
  int i = 0;
  return floats([&](float x) { return ((mask >> i++) & 1) != 0 ? x : 0.0f; }, a);
}
inline float reduce_add_ps(__m512 a) {
  return reduce<float>(a, [](float x, float y) { return x + y; });
}
inline float reduce_max_ps(__m512 a) {
  return reduce<float>(a, [](float x, float y) { return x > y ? x : y; });
}
inline std::int32_t reduce_add_epi32(__m512i a) {
  return reduce<std::int32_t>(a, [](std::int32_t x, std::int32_t y) { return x + y; });
}

inline __m512i add_epi32(__m512i a, __m512i b) {
  return words([](std::uint32_t x, std::uint32_t y) { return x + y; }, a, b);
}
inline __m512i sub_epi32(__m512i a, __m512i b) {
  return words([](std::uint32_t x, std::uint32_t y) { return x - y; }, a, b);
}
inline __m512i and_si512(__m512i a, __m512i b) {
  return a & b;
}
inline __m512i or_si512(__m512i a, __m512i b) {
  return a | b;
}
inline __m512i xor_si512(__m512i a, __m512i b) {
  return a ^ b;
}
inline __m512i slli_epi32(__m512i a, unsigned bits) {
  return words([bits](std::uint32_t x) { return x << bits; }, a);
}
inline __m512i srai_epi32(__m512i a, unsigned bits) {
  return ints([bits](std::int32_t x) { return x >> bits; }, a);
}
inline __m512i srli_epi32(__m512i a, unsigned bits) {
  return words([bits](std::uint32_t x) { return x >> bits; }, a);
}
inline __m512i add_epi16(__m512i a, __m512i b) {
  return map<__m512i, std::uint16_t, std::uint16_t, 32>(
      [](std::uint16_t x, std::uint16_t y) { return static_cast<std::uint16_t>(x + y); }, a, b);
}
inline __m512i sub_epi16(__m512i a, __m512i b) {
  return map<__m512i, std::uint16_t, std::uint16_t, 32>(
      [](std::uint16_t x, std::uint16_t y) { return static_cast<std::uint16_t>(x - y); }, a, b);
}
inline __m512i slli_epi16(__m512i a, unsigned bits) {
  return map<__m512i, std::uint16_t, std::uint16_t, 32>(
      [bits](std::uint16_t x) { return static_cast<std::uint16_t>(x << bits); }, a);
}
inline __m512i srai_epi16(__m512i a, unsigned bits) {
  return map<__m512i, std::int16_t, std::int16_t, 32>(
      [bits](std::int16_t x) { return static_cast<std::int16_t>(x >> bits); }, a);
}
inline __m512i sub_epi8(__m512i a, __m512i b) {
  return map<__m512i, std::uint8_t, std::uint8_t, 64>(
      [](std::uint8_t x, std::uint8_t y) { return static_cast<std::uint8_t>(x - y); }, a, b);
}
inline __m512i abs_epi8(__m512i a) {
  return map<__m512i, std::uint8_t, std::int8_t, 64>(
      [](std::int8_t x) { return static_cast<std::uint8_t>(x < 0 ? -x : x); }, a);
}
inline __mmask64 movepi8_mask(__m512i a) {
  const auto x = std::bit_cast<Lanes<std::int8_t, 64>>(a);
  __mmask64 mask = 0;
  for (int i = 0; i < 64; ++i) mask |= static_cast<__mmask64>(x.of[i] < 0) << i;
  return mask;
}
inline __m512i mask_sub_epi8(__m512i source, __mmask64 mask, __m512i a, __m512i b) {
  int i = 0;
  return map<__m512i, std::uint8_t, std::uint8_t, 64>(
      [&](std::uint8_t otherwise, std::uint8_t x, std::uint8_t y) {
        return ((mask >> i++) & 1) != 0 ? static_cast<std::uint8_t>(x - y) : otherwise;
      },
      source, a, b);
}
/// Unsigned by signed bytes, pairs added in 16 bits, with saturation.
inline __m512i maddubs_epi16(__m512i a, __m512i b) {
  const auto x = std::bit_cast<Lanes<std::uint8_t, 64>>(a);
  const auto y = std::bit_cast<Lanes<std::int8_t, 64>>(b);
  Lanes<std::int16_t, 32> out;
  for (int i = 0; i < 32; ++i)
    out.of[i] = saturated(x.of[2 * i] * y.of[2 * i] + x.of[2 * i + 1] * y.of[2 * i + 1]);
  return std::bit_cast<__m512i>(out);
}
inline __m512i madd_epi16(__m512i a, __m512i b) {
  const auto x = std::bit_cast<Lanes<std::int16_t, 32>>(a);
  const auto y = std::bit_cast<Lanes<std::int16_t, 32>>(b);
  Lanes<std::int32_t, 16> out;
  for (int i = 0; i < 16; ++i) out.of[i] = x.of[2 * i] * y.of[2 * i] + x.of[2 * i + 1] * y.of[2 * i + 1];
  return std::bit_cast<__m512i>(out);
}
/// Four unsigned by four signed bytes, added to 32 bits.
template <typename Vector>
Vector dpbusd(Vector sum, Vector a, Vector b) {
  constexpr int kBytes = sizeof(Vector);
  auto out = std::bit_cast<Lanes<std::int32_t, kBytes / 4>>(sum);
  const auto x = std::bit_cast<Lanes<std::uint8_t, kBytes>>(a);
  const auto y = std::bit_cast<Lanes<std::int8_t, kBytes>>(b);
  for (int i = 0; i < kBytes; ++i) out.of[i / 4] += x.of[i] * y.of[i];
  return std::bit_cast<Vector>(out);
}

inline __m512i cvtps_epi32(__m512 a) {
  return map<__m512i, std::int32_t, float, 16>(
      [](float x) { return static_cast<std::int32_t>(std::lrint(x)); }, a);
}
inline __m512 cvtepi32_ps(__m512i a) {
  return map<__m512, float, std::int32_t, 16>([](std::int32_t x) { return static_cast<float>(x); }, a);
}
inline __m128i cvtepi32_epi8(__m512i a) {
  return map<__m128i, std::int8_t, std::int32_t, 16>(
      [](std::int32_t x) { return static_cast<std::int8_t>(x); }, a);
}
inline __m512i cvtepi8_epi32(__m128i a) {
  return map<__m512i, std::int32_t, std::int8_t, 16>([](std::int8_t x) { return x; }, a);
}
inline __m512i cvtepu8_epi32(__m128i a) {
  return map<__m512i, std::int32_t, std::uint8_t, 16>([](std::uint8_t x) { return x; }, a);
}
inline __m512i cvtepu16_epi32(__m256i a) {
  return map<__m512i, std::int32_t, std::uint16_t, 16>([](std::uint16_t x) { return x; }, a);
}
inline __m512 castsi512_ps(__m512i a) {
  return std::bit_cast<__m512>(a);
}
inline __m512 cvtph_ps(__m256i a) {
  const auto halves = std::bit_cast<Lanes<__m128i, 2>>(a);
  return std::bit_cast<__m512>(
      Lanes<__m256, 2>{{_mm256_cvtph_ps(halves.of[0]), _mm256_cvtph_ps(halves.of[1])}});
}
inline __m256i cvtps_ph(__m512 a, int) {
  const auto halves = std::bit_cast<Lanes<__m256, 2>>(a);
  return std::bit_cast<__m256i>(
      Lanes<__m128i, 2>{{_mm256_cvtps_ph(halves.of[0], 0), _mm256_cvtps_ph(halves.of[1], 0)}});
}

}  // namespace emulated

#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 emulated::dpbusd
#undef _mm512_abs_epi8
#define _mm512_abs_epi8 emulated::abs_epi8
#undef _mm512_abs_ps
#define _mm512_abs_ps emulated::abs_ps
#undef _mm512_add_epi16
#define _mm512_add_epi16 emulated::add_epi16
#undef _mm512_add_epi32
#define _mm512_add_epi32 emulated::add_epi32
#undef _mm512_add_ps
#define _mm512_add_ps emulated::add_ps
#undef _mm512_and_si512
#define _mm512_and_si512 emulated::and_si512
#undef _mm512_castsi512_ps
#define _mm512_castsi512_ps emulated::castsi512_ps
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8 emulated::cvtepi32_epi8
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps emulated::cvtepi32_ps
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32 emulated::cvtepi8_epi32
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32 emulated::cvtepu16_epi32
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32 emulated::cvtepu8_epi32
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps emulated::cvtph_ps
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32 emulated::cvtps_epi32
#undef _mm512_cvtps_ph
#define _mm512_cvtps_ph emulated::cvtps_ph
#undef _mm512_div_ps
#define _mm512_div_ps emulated::div_ps
#undef _mm512_dpbusd_epi32
#define _mm512_dpbusd_epi32 emulated::dpbusd
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps emulated::fmadd_ps
#undef _mm512_loadu_ps
#define _mm512_loadu_ps emulated::loadu_ps
#undef _mm512_loadu_si512
#define _mm512_loadu_si512 emulated::loadu_si512
#undef _mm512_madd_epi16
#define _mm512_madd_epi16 emulated::madd_epi16
#undef _mm512_maddubs_epi16
#define _mm512_maddubs_epi16 emulated::maddubs_epi16
#undef _mm512_mask_sub_epi8
#define _mm512_mask_sub_epi8 emulated::mask_sub_epi8
#undef _mm512_maskz_mov_ps
#define _mm512_maskz_mov_ps emulated::maskz_mov_ps
#undef _mm512_max_ps
#define _mm512_max_ps emulated::max_ps
#undef _mm512_min_ps
#define _mm512_min_ps emulated::min_ps
#undef _mm512_movepi8_mask
#define _mm512_movepi8_mask emulated::movepi8_mask
#undef _mm512_mul_ps
#define _mm512_mul_ps emulated::mul_ps
#undef _mm512_or_si512
#define _mm512_or_si512 emulated::or_si512
#undef _mm512_permutex2var_ps
#define _mm512_permutex2var_ps emulated::permutex2var_ps
#undef _mm512_reduce_add_epi32
#define _mm512_reduce_add_epi32 emulated::reduce_add_epi32
#undef _mm512_reduce_add_ps
#define _mm512_reduce_add_ps emulated::reduce_add_ps
#undef _mm512_reduce_max_ps
#define _mm512_reduce_max_ps emulated::reduce_max_ps
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps emulated::roundscale_ps
#undef _mm512_set1_epi16
#define _mm512_set1_epi16 emulated::set1_epi16
#undef _mm512_set1_epi32
#define _mm512_set1_epi32 emulated::set1_epi32
#undef _mm512_set1_epi8
#define _mm512_set1_epi8 emulated::set1_epi8
#undef _mm512_set1_ps
#define _mm512_set1_ps emulated::set1_ps
#undef _mm512_setr_epi32
#define _mm512_setr_epi32 emulated::setr_epi32
#undef _mm512_setzero_ps
#define _mm512_setzero_ps emulated::setzero_ps
#undef _mm512_setzero_si512
#define _mm512_setzero_si512 emulated::setzero_si512
#undef _mm512_slli_epi16
#define _mm512_slli_epi16 emulated::slli_epi16
#undef _mm512_slli_epi32
#define _mm512_slli_epi32 emulated::slli_epi32
#undef _mm512_srai_epi16
#define _mm512_srai_epi16 emulated::srai_epi16
#undef _mm512_srai_epi32
#define _mm512_srai_epi32 emulated::srai_epi32
#undef _mm512_srli_epi32
#define _mm512_srli_epi32 emulated::srli_epi32
#undef _mm512_storeu_ps
#define _mm512_storeu_ps emulated::storeu_ps
#undef _mm512_storeu_si512
#define _mm512_storeu_si512 emulated::storeu_si512
#undef _mm512_sub_epi16
#define _mm512_sub_epi16 emulated::sub_epi16
#undef _mm512_sub_epi32
#define _mm512_sub_epi32 emulated::sub_epi32
#undef _mm512_sub_epi8
#define _mm512_sub_epi8 emulated::sub_epi8
#undef _mm512_sub_ps
#define _mm512_sub_ps emulated::sub_ps
#undef _mm512_xor_si512
#define _mm512_xor_si512 emulated::xor_si512
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(a, b, not_less) emulated::cmp_ps_mask_not_less(a, b)

#include "tiles.h"
