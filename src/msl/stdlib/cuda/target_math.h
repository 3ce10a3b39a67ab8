// CUDA's side of the standard library: arithmetic. NVRTC has these functions built in.
#pragma once

#include "half_bits.h"
#include "soft/abi.h"

#define LATTICE_MSL_SITE
#define LATTICE_MSL_ONLY_SITE
#define LATTICE_MSL_AT
#define LATTICE_MSL_INLINE __forceinline__

namespace lattice_msl::target {

LATTICE_MSL_INLINE constexpr unsigned short encode_half(float x) {
  if (__builtin_is_constant_evaluated()) return float_to_half(x);
  unsigned short out = 0;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out) : "f"(x));
  return out;
}
LATTICE_MSL_INLINE constexpr float decode_half(unsigned short x) {
  if (__builtin_is_constant_evaluated()) return half_to_float(x);
  float out = 0;
  asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(x));
  return out;
}
LATTICE_MSL_INLINE constexpr unsigned short encode_bfloat(float x) {
  if (__builtin_is_constant_evaluated()) return float_to_bfloat(x);
  unsigned short out = 0;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out) : "f"(x));
  return out;
}

// A vector is assigned by one load and one store.
template <class T, int N> struct alignas(N == 2 ? 2 * sizeof(T) : 4 * sizeof(T)) Whole { T data[N]; };
#define LATTICE_MSL_ASSIGN_WHOLE(T, N, v)                                                       \
  if (!__builtin_is_constant_evaluated()) {                                                     \
    *reinterpret_cast<target::Whole<T, N>*>(data) = *reinterpret_cast<const target::Whole<T, N>*>(v.data); \
    return *this;                                                                               \
  }

/// Four bytes become floats without conversions, which run at an eighth of the pace of arithmetic: a byte under the
/// exponent of 2^23 is the float 2^23 + n. Returns false where it does not apply.
template <int N, class T, class From> LATTICE_MSL_INLINE constexpr bool convert(T* to, const From* from) {
  if constexpr (N == 4 && sizeof(From) == 1 && sizeof(T) == 4 && T(0.5f) != T(0) && From(2) != From(1)) {
    if (__builtin_is_constant_evaluated()) return false;
    constexpr bool is_signed = From(-1) < From(0);
    const unsigned word = *reinterpret_cast<const unsigned*>(from) ^ (is_signed ? 0x80808080u : 0u);
    constexpr float less = is_signed ? 8388736.0f : 8388608.0f;
    to[0] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440)) - less;
    to[1] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7441)) - less;
    to[2] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7442)) - less;
    to[3] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7443)) - less;
    return true;
  } else {
    return false;
  }
}

/// 1/2 + n/256 with n byte `i` of four, below 128: placing bytes is one instruction, masking and setting bits two.
LATTICE_MSL_INLINE float fraction(unsigned bytes, unsigned i) {
  return __uint_as_float(__byte_perm(bytes, 0x3f000000u, 0x7044u | i << 8));
}

/// Byte `i` of a, and of b above it: one instruction for four.
LATTICE_MSL_INLINE unsigned short byte_pair(unsigned a, unsigned b, unsigned i) {
  return static_cast<unsigned short>(__byte_perm(a, b, i | (4 + i) << 4));
}

#define LATTICE_MSL_MATH1(name) LATTICE_MSL_INLINE float name(float x) { return ::name##f(x); }
#define LATTICE_MSL_MATH2(name) LATTICE_MSL_INLINE float name(float x, float y) { return ::name##f(x, y); }
LATTICE_MSL_MATH1(acos) LATTICE_MSL_MATH1(acosh) LATTICE_MSL_MATH1(asin) LATTICE_MSL_MATH1(asinh)
LATTICE_MSL_MATH1(atan) LATTICE_MSL_MATH1(atanh) LATTICE_MSL_MATH1(ceil) LATTICE_MSL_MATH1(cos)
LATTICE_MSL_MATH1(cosh) LATTICE_MSL_MATH1(cospi) LATTICE_MSL_MATH1(exp) LATTICE_MSL_MATH1(exp2)
LATTICE_MSL_MATH1(exp10) LATTICE_MSL_MATH1(fabs) LATTICE_MSL_MATH1(floor) LATTICE_MSL_MATH1(log)
LATTICE_MSL_MATH1(log10) LATTICE_MSL_MATH1(log2) LATTICE_MSL_MATH1(rint) LATTICE_MSL_MATH1(round)
LATTICE_MSL_MATH1(rsqrt) LATTICE_MSL_MATH1(sin) LATTICE_MSL_MATH1(sinh) LATTICE_MSL_MATH1(sinpi)
LATTICE_MSL_MATH1(sqrt) LATTICE_MSL_MATH1(tan) LATTICE_MSL_MATH1(tanh) LATTICE_MSL_MATH1(trunc)
LATTICE_MSL_MATH2(atan2) LATTICE_MSL_MATH2(copysign) LATTICE_MSL_MATH2(fdim) LATTICE_MSL_MATH2(fmod)
LATTICE_MSL_MATH2(fmin) LATTICE_MSL_MATH2(fmax) LATTICE_MSL_MATH2(nextafter) LATTICE_MSL_MATH2(pow)
#undef LATTICE_MSL_MATH1
#undef LATTICE_MSL_MATH2
LATTICE_MSL_INLINE float fma(float x, float y, float z) { return ::fmaf(x, y, z); }
LATTICE_MSL_INLINE float ldexp(float x, int e) { return ::ldexpf(x, e); }
LATTICE_MSL_INLINE float frexp(float x, int& e) { return ::frexpf(x, &e); }

namespace fast {
LATTICE_MSL_INLINE float cos(float x) { return __cosf(x); }
LATTICE_MSL_INLINE float exp(float x) { return __expf(x); }
LATTICE_MSL_INLINE float exp10(float x) { return __exp10f(x); }
LATTICE_MSL_INLINE float exp2(float x) { return ::exp2f(x); }
LATTICE_MSL_INLINE float log(float x) { return __logf(x); }
LATTICE_MSL_INLINE float log10(float x) { return __log10f(x); }
LATTICE_MSL_INLINE float log2(float x) { return __log2f(x); }
LATTICE_MSL_INLINE float pow(float x, float y) { return __powf(x, y); }
LATTICE_MSL_INLINE float rsqrt(float x) { return ::rsqrtf(x); }
LATTICE_MSL_INLINE float sin(float x) { return __sinf(x); }
LATTICE_MSL_INLINE float sqrt(float x) { return ::sqrtf(x); }
LATTICE_MSL_INLINE float tan(float x) { return __tanf(x); }
}  // namespace fast

constexpr bool isnan(float x) { return x != x; }
constexpr bool isinf(float x) { return __builtin_bit_cast(unsigned, x) << 1 == 0xff000000u; }

LATTICE_MSL_INLINE int clz(unsigned x) { return __clz(static_cast<int>(x)); }
LATTICE_MSL_INLINE int clz(unsigned long x) { return __clzll(static_cast<long long>(x)); }
LATTICE_MSL_INLINE int popcount(unsigned long x) { return __popcll(x); }
LATTICE_MSL_INLINE unsigned long mulhi(unsigned long x, unsigned long y) { return __umul64hi(x, y); }
LATTICE_MSL_INLINE long mulhi(long x, long y) { return __mul64hi(x, y); }

template <class To, class From>
LATTICE_MSL_INLINE To bit_copy(const From& from) {
  To to;
  for (unsigned i = 0; i < sizeof(To); ++i) reinterpret_cast<unsigned char*>(&to)[i] = reinterpret_cast<const unsigned char*>(&from)[i];
  return to;
}

}  // namespace lattice_msl::target
