// Constants and metal::numeric_limits.
#pragma once

#include "scalar.h"

namespace lattice_msl {

constexpr float INFINITY = __builtin_bit_cast(float, 0x7f800000u);
constexpr float NAN = __builtin_bit_cast(float, 0x7fc00000u);
constexpr float HUGE_VALF = INFINITY;
constexpr float MAXFLOAT = 0x1.fffffep127f;
constexpr float FLT_MAX = MAXFLOAT;
constexpr float FLT_MIN = 0x1p-126f;
constexpr float FLT_EPSILON = 0x1p-23f;
constexpr int FLT_DIG = 6, FLT_MANT_DIG = 24, FLT_MAX_EXP = 128, FLT_MIN_EXP = -125, FLT_RADIX = 2;
constexpr half HALF_MAX = half(65504.0f);
constexpr half MAXHALF = HALF_MAX;
constexpr half HALF_MIN = half(0x1p-14f);
constexpr half HALF_EPSILON = half(0x1p-10f);
constexpr half HUGE_VALH = half(INFINITY);
constexpr int CHAR_BIT = 8;
constexpr int SCHAR_MAX = 127, SCHAR_MIN = -128, UCHAR_MAX = 255, CHAR_MAX = 127, CHAR_MIN = -128;
constexpr int SHRT_MAX = 32767, SHRT_MIN = -32768, USHRT_MAX = 65535;
constexpr int INT_MAX = 2147483647, INT_MIN = -INT_MAX - 1;
constexpr unsigned UINT_MAX = 4294967295u;
constexpr long LONG_MAX = 9223372036854775807l, LONG_MIN = -LONG_MAX - 1;
constexpr unsigned long ULONG_MAX = 18446744073709551615ul;

#define LATTICE_MSL_CONSTANT(name, value)                                                                           \
  constexpr float M_##name##_F = static_cast<float>(value);                                                         \
  constexpr half M_##name##_H = half(static_cast<float>(value));
LATTICE_MSL_CONSTANT(E, 2.71828182845904523536)
LATTICE_MSL_CONSTANT(LOG2E, 1.44269504088896340736)
LATTICE_MSL_CONSTANT(LOG10E, 0.43429448190325182765)
LATTICE_MSL_CONSTANT(LN2, 0.69314718055994530942)
LATTICE_MSL_CONSTANT(LN10, 2.30258509299404568402)
LATTICE_MSL_CONSTANT(PI, 3.14159265358979323846)
LATTICE_MSL_CONSTANT(PI_2, 1.57079632679489661923)
LATTICE_MSL_CONSTANT(PI_4, 0.78539816339744830962)
LATTICE_MSL_CONSTANT(1_PI, 0.31830988618379067154)
LATTICE_MSL_CONSTANT(2_PI, 0.63661977236758134308)
LATTICE_MSL_CONSTANT(2_SQRTPI, 1.12837916709551257390)
LATTICE_MSL_CONSTANT(SQRT2, 1.41421356237309504880)
LATTICE_MSL_CONSTANT(SQRT1_2, 0.70710678118654752440)
#undef LATTICE_MSL_CONSTANT

namespace metal {

template <class T>
struct numeric_limits {
  static constexpr bool is_specialized = is_integral_v<T>;
  static constexpr bool is_signed = T(-1) < T(0);
  static constexpr bool is_integer = true;
  static constexpr bool has_infinity = false;
  static constexpr bool has_quiet_NaN = false;
  static constexpr int digits = static_cast<int>(sizeof(T)) * 8 - (is_signed ? 1 : 0);
  static constexpr T min() { return is_signed ? static_cast<T>(static_cast<T>(1) << digits) : T(0); }
  static constexpr T max() { return static_cast<T>(~min()); }
  static constexpr T lowest() { return min(); }
  static constexpr T epsilon() { return T(0); }
  static constexpr T infinity() { return T(0); }
  static constexpr T quiet_NaN() { return T(0); }
};
template <>
struct numeric_limits<bool> {
  static constexpr bool is_specialized = true, is_signed = false, is_integer = true, has_infinity = false;
  static constexpr int digits = 1;
  static constexpr bool min() { return false; }
  static constexpr bool max() { return true; }
  static constexpr bool lowest() { return false; }
};

#define LATTICE_MSL_FLOAT_LIMITS(T, DIGITS, MAX_EXPONENT, MAX, MIN, EPSILON, DENORM)                                \
  template <>                                                                                                       \
  struct numeric_limits<T> {                                                                                        \
    static constexpr bool is_specialized = true, is_signed = true, is_integer = false, has_infinity = true;         \
    static constexpr bool has_quiet_NaN = true;                                                                     \
    static constexpr int digits = DIGITS, max_exponent = MAX_EXPONENT, min_exponent = 3 - MAX_EXPONENT, radix = 2;  \
    static constexpr T max() { return T(MAX); }                                                                     \
    static constexpr T lowest() { return T(-MAX); }                                                                 \
    static constexpr T min() { return T(MIN); }                                                                     \
    static constexpr T epsilon() { return T(EPSILON); }                                                             \
    static constexpr T denorm_min() { return T(DENORM); }                                                           \
    static constexpr T round_error() { return T(0.5f); }                                                            \
    static constexpr T infinity() { return T(INFINITY); }                                                           \
    static constexpr T quiet_NaN() { return T(NAN); }                                                               \
    static constexpr T signaling_NaN() { return T(NAN); }                                                           \
  };
LATTICE_MSL_FLOAT_LIMITS(float, 24, 128, 0x1.fffffep127f, 0x1p-126f, 0x1p-23f, 0x1p-149f)
LATTICE_MSL_FLOAT_LIMITS(half, 11, 16, 65504.0f, 0x1p-14f, 0x1p-10f, 0x1p-24f)
LATTICE_MSL_FLOAT_LIMITS(bfloat, 8, 128, 0x1.fep127f, 0x1p-126f, 0x1p-7f, 0x1p-133f)
#undef LATTICE_MSL_FLOAT_LIMITS

}  // namespace metal
}  // namespace lattice_msl
