// The soft device's side of the standard library: arithmetic by the host compiler's builtins, simdgroups by the runtime.
#pragma once

#include "half_bits.h"
#include "soft/abi.h"

#define LATTICE_MSL_SITE , lattice::soft::Site site = lattice_msl::target::here()
#define LATTICE_MSL_ONLY_SITE lattice::soft::Site site = lattice_msl::target::here()
#define LATTICE_MSL_AT , site
#define LATTICE_MSL_INLINE inline __attribute__((always_inline))

namespace lattice_msl::target {

constexpr unsigned short encode_half(float x) { return float_to_half(x); }
constexpr float decode_half(unsigned short x) { return half_to_float(x); }
constexpr unsigned short encode_bfloat(float x) { return float_to_bfloat(x); }

// Vectors are converted and assigned element by element.
#define LATTICE_MSL_ASSIGN_WHOLE(T, N, v)
template <int N, class T, class From> constexpr bool convert(T*, const From*) { return false; }

// One for a compiled file; set when the device takes the file on.
static const lattice::soft::Runtime* runtime = nullptr;

constexpr lattice::soft::Site here(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
  return {file, line};
}

#define LATTICE_MSL_MATH1(name) LATTICE_MSL_INLINE float name(float x) { return __builtin_##name##f(x); }
#define LATTICE_MSL_MATH2(name) LATTICE_MSL_INLINE float name(float x, float y) { return __builtin_##name##f(x, y); }
LATTICE_MSL_MATH1(acos) LATTICE_MSL_MATH1(acosh) LATTICE_MSL_MATH1(asin) LATTICE_MSL_MATH1(asinh)
LATTICE_MSL_MATH1(atan) LATTICE_MSL_MATH1(atanh) LATTICE_MSL_MATH1(ceil) LATTICE_MSL_MATH1(cos)
LATTICE_MSL_MATH1(cosh) LATTICE_MSL_MATH1(exp) LATTICE_MSL_MATH1(exp2) LATTICE_MSL_MATH1(fabs)
LATTICE_MSL_MATH1(floor) LATTICE_MSL_MATH1(log) LATTICE_MSL_MATH1(log10) LATTICE_MSL_MATH1(log2)
LATTICE_MSL_MATH1(rint) LATTICE_MSL_MATH1(round) LATTICE_MSL_MATH1(sin) LATTICE_MSL_MATH1(sinh)
LATTICE_MSL_MATH1(sqrt) LATTICE_MSL_MATH1(tan) LATTICE_MSL_MATH1(tanh) LATTICE_MSL_MATH1(trunc)
LATTICE_MSL_MATH2(atan2) LATTICE_MSL_MATH2(copysign) LATTICE_MSL_MATH2(fdim) LATTICE_MSL_MATH2(fmod)
LATTICE_MSL_MATH2(fmin) LATTICE_MSL_MATH2(fmax) LATTICE_MSL_MATH2(nextafter) LATTICE_MSL_MATH2(pow)
#undef LATTICE_MSL_MATH1
#undef LATTICE_MSL_MATH2

LATTICE_MSL_INLINE float exp10(float x) { return static_cast<float>(__builtin_pow(10.0, static_cast<double>(x))); }
LATTICE_MSL_INLINE float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
LATTICE_MSL_INLINE float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
LATTICE_MSL_INLINE float ldexp(float x, int e) { return __builtin_ldexpf(x, e); }
LATTICE_MSL_INLINE float frexp(float x, int& e) { return __builtin_frexpf(x, &e); }
// In double, so that the argument's rounding does not show: exact at the multiples of a half.
LATTICE_MSL_INLINE float sinpi(float x) { return static_cast<float>(__builtin_sin(__builtin_fmod(x, 2.0) * 3.14159265358979323846)); }
LATTICE_MSL_INLINE float cospi(float x) { return static_cast<float>(__builtin_cos(__builtin_fmod(x, 2.0) * 3.14159265358979323846)); }

// What fast:: names. The soft device has one precision, the accurate one.
namespace fast {
using target::cos; using target::exp; using target::exp10; using target::exp2; using target::log;
using target::log10; using target::log2; using target::pow; using target::rsqrt; using target::sin;
using target::sqrt; using target::tan;
}  // namespace fast

constexpr bool isnan(float x) { return x != x; }
constexpr bool isinf(float x) { return x == __builtin_inff() || x == -__builtin_inff(); }

LATTICE_MSL_INLINE int clz(unsigned x) { return x == 0 ? 32 : __builtin_clz(x); }
LATTICE_MSL_INLINE int clz(unsigned long x) { return x == 0 ? 64 : __builtin_clzl(x); }
LATTICE_MSL_INLINE int popcount(unsigned long x) { return __builtin_popcountl(x); }
LATTICE_MSL_INLINE unsigned long mulhi(unsigned long x, unsigned long y) {
  return static_cast<unsigned long>((static_cast<unsigned __int128>(x) * y) >> 64);
}
LATTICE_MSL_INLINE long mulhi(long x, long y) { return static_cast<long>((static_cast<__int128>(x) * y) >> 64); }

template <class To, class From>
LATTICE_MSL_INLINE To bit_copy(const From& from) {
  To to;
  __builtin_memcpy(&to, &from, sizeof(To));
  return to;
}

LATTICE_MSL_INLINE float fraction(unsigned bytes, unsigned i) {
  return bit_copy<float>((bytes >> (8 * i) & 0xffu) << 16 | 0x3f000000u);
}
LATTICE_MSL_INLINE unsigned short byte_pair(unsigned a, unsigned b, unsigned i) {
  return static_cast<unsigned short>((a >> (8 * i) & 0xffu) | (b >> (8 * i) & 0xffu) << 8);
}

#ifdef __FLT16_MAX__
#define LATTICE_MSL_NATIVE_HALF 1  // Clang 14 on x86-64 has it not
#endif

}  // namespace lattice_msl::target
