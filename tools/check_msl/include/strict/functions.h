// 6.2 to 6.5 and 6.8: common, integer, relational, mathematical and geometric functions. T is one type for all arguments, as the
// tables have it: max(1, 2u) has none.
#pragma once
#pragma GCC system_header

namespace metal {

#define LATTICE_STRICT_FLOATS template <typename T, typename = enable_if_t<strict::is_float_like<T>::value>>
#define LATTICE_STRICT_INTEGERS template <typename T, typename = enable_if_t<strict::is_integer_like<T>::value>, typename = void>
#define LATTICE_STRICT_SCALAR typename strict::components<T>::scalar

#define LATTICE_STRICT_UNARY(name) LATTICE_STRICT_FLOATS T name(T x);
#define LATTICE_STRICT_BINARY(name) LATTICE_STRICT_FLOATS T name(T x, T y);

#define LATTICE_STRICT_TRANSCENDENTAL                                                                                 \
  LATTICE_STRICT_UNARY(acos) LATTICE_STRICT_UNARY(acosh) LATTICE_STRICT_UNARY(asin) LATTICE_STRICT_UNARY(asinh)       \
  LATTICE_STRICT_UNARY(atan) LATTICE_STRICT_BINARY(atan2) LATTICE_STRICT_UNARY(atanh) LATTICE_STRICT_UNARY(ceil)      \
  LATTICE_STRICT_UNARY(cos) LATTICE_STRICT_UNARY(cosh) LATTICE_STRICT_UNARY(cospi) LATTICE_STRICT_UNARY(exp)          \
  LATTICE_STRICT_UNARY(exp10) LATTICE_STRICT_UNARY(exp2) LATTICE_STRICT_UNARY(fabs) LATTICE_STRICT_UNARY(floor)       \
  LATTICE_STRICT_BINARY(fmax) LATTICE_STRICT_BINARY(fmin) LATTICE_STRICT_BINARY(fmod) LATTICE_STRICT_UNARY(fract)     \
  LATTICE_STRICT_UNARY(log) LATTICE_STRICT_UNARY(log10) LATTICE_STRICT_UNARY(log2) LATTICE_STRICT_BINARY(pow)         \
  LATTICE_STRICT_BINARY(powr) LATTICE_STRICT_UNARY(rint) LATTICE_STRICT_UNARY(round) LATTICE_STRICT_UNARY(rsqrt)      \
  LATTICE_STRICT_UNARY(sin) LATTICE_STRICT_UNARY(sinh) LATTICE_STRICT_UNARY(sinpi) LATTICE_STRICT_UNARY(sqrt)         \
  LATTICE_STRICT_UNARY(tan) LATTICE_STRICT_UNARY(tanh) LATTICE_STRICT_UNARY(tanpi) LATTICE_STRICT_UNARY(trunc)        \
  LATTICE_STRICT_UNARY(saturate) LATTICE_STRICT_BINARY(max) LATTICE_STRICT_BINARY(min)                                \
  LATTICE_STRICT_FLOATS T clamp(T x, T low, T high);                                                                  \
  LATTICE_STRICT_FLOATS LATTICE_STRICT_SCALAR length(T x);                                                            \
  LATTICE_STRICT_FLOATS LATTICE_STRICT_SCALAR distance(T x, T y);                                                     \
  LATTICE_STRICT_FLOATS T normalize(T x);
LATTICE_STRICT_TRANSCENDENTAL
namespace precise {
LATTICE_STRICT_TRANSCENDENTAL
}
namespace fast {
LATTICE_STRICT_TRANSCENDENTAL
}

LATTICE_STRICT_UNARY(abs)
LATTICE_STRICT_BINARY(copysign)
LATTICE_STRICT_BINARY(fdim)
LATTICE_STRICT_BINARY(nextafter)
LATTICE_STRICT_BINARY(step)
LATTICE_STRICT_UNARY(sign)
LATTICE_STRICT_FLOATS T fma(T a, T b, T c);
LATTICE_STRICT_FLOATS T fmax3(T x, T y, T z);
LATTICE_STRICT_FLOATS T fmin3(T x, T y, T z);
LATTICE_STRICT_FLOATS T max3(T x, T y, T z);
LATTICE_STRICT_FLOATS T median3(T x, T y, T z);
LATTICE_STRICT_FLOATS T min3(T x, T y, T z);
LATTICE_STRICT_FLOATS T mix(T x, T y, T a);
LATTICE_STRICT_FLOATS T smoothstep(T edge0, T edge1, T x);
LATTICE_STRICT_FLOATS T modf(T x, thread T& integral);
LATTICE_STRICT_FLOATS T sincos(T x, thread T& cosine);
float ldexp(float x, int k);
half ldexp(half x, int k);
float frexp(float x, thread int& exponent);
int ilogb(float x);

LATTICE_STRICT_FLOATS LATTICE_STRICT_SCALAR dot(T x, T y);
LATTICE_STRICT_FLOATS LATTICE_STRICT_SCALAR distance_squared(T x, T y);
LATTICE_STRICT_FLOATS LATTICE_STRICT_SCALAR length_squared(T x);
LATTICE_STRICT_FLOATS T cross(T x, T y);
LATTICE_STRICT_FLOATS T reflect(T i, T n);

bool isfinite(float x);
bool isinf(float x);
bool isnan(float x);
bool isnormal(float x);
bool signbit(float x);
bool isfinite(half x);
bool isinf(half x);
bool isnan(half x);
template <typename V> bool all(V x);
template <typename V> bool any(V x);
template <typename T> T select(T a, T b, bool c);

LATTICE_STRICT_INTEGERS T abs(T x);
LATTICE_STRICT_INTEGERS T absdiff(T x, T y);
LATTICE_STRICT_INTEGERS T addsat(T x, T y);
LATTICE_STRICT_INTEGERS T clamp(T x, T low, T high);
LATTICE_STRICT_INTEGERS T clz(T x);
LATTICE_STRICT_INTEGERS T ctz(T x);
LATTICE_STRICT_INTEGERS T extract_bits(T x, uint offset, uint bits);
LATTICE_STRICT_INTEGERS T insert_bits(T base, T insert, uint offset, uint bits);
LATTICE_STRICT_INTEGERS T hadd(T x, T y);
LATTICE_STRICT_INTEGERS T rhadd(T x, T y);
LATTICE_STRICT_INTEGERS T madhi(T a, T b, T c);
LATTICE_STRICT_INTEGERS T madsat(T a, T b, T c);
LATTICE_STRICT_INTEGERS T max(T x, T y);
LATTICE_STRICT_INTEGERS T max3(T x, T y, T z);
LATTICE_STRICT_INTEGERS T median3(T x, T y, T z);
LATTICE_STRICT_INTEGERS T min(T x, T y);
LATTICE_STRICT_INTEGERS T min3(T x, T y, T z);
LATTICE_STRICT_INTEGERS T mulhi(T x, T y);
LATTICE_STRICT_INTEGERS T popcount(T x);
LATTICE_STRICT_INTEGERS T reverse_bits(T x);
LATTICE_STRICT_INTEGERS T rotate(T v, T i);
LATTICE_STRICT_INTEGERS T subsat(T x, T y);
int mul24(int x, int y);
uint mul24(uint x, uint y);
int mad24(int x, int y, int z);
uint mad24(uint x, uint y, uint z);

#undef LATTICE_STRICT_TRANSCENDENTAL
#undef LATTICE_STRICT_UNARY
#undef LATTICE_STRICT_BINARY

}  // namespace metal
