// CUDA's side of the standard library: arithmetic. NVRTC has these functions built in.
#pragma once

#include "half_bits.h"
#include "soft/abi.h"

#define LATTICE_MSL_SITE
#define LATTICE_MSL_ONLY_SITE
#define LATTICE_MSL_AT
#define LATTICE_MSL_INLINE __forceinline__

namespace lattice_msl::target {

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
