// half and bfloat, and the questions that templates ask about scalars.
#pragma once

#include "traits.h"

namespace lattice_msl {

/// A 16-bit floating-point type over float: each operation is computed in float and rounded once more, which gives the
/// correctly rounded result for + − × ÷ (24 bits are more than 2·11 + 2).
template <class Codec>
struct small_float {
  unsigned short bits;

  small_float() = default;
  constexpr small_float(float x) : bits(Codec::encode(x)) {}
  template <class T, class = metal::enable_if_t<metal::is_integral_v<T> || metal::is_same_v<T, double>>>
  constexpr small_float(T x) : bits(Codec::encode(static_cast<float>(x))) {}
  template <class C>
  constexpr explicit small_float(small_float<C> x) : bits(Codec::encode(float(x))) {}
  constexpr operator float() const { return Codec::decode(bits); }

  constexpr small_float operator-() const { return -float(*this); }
  constexpr small_float operator+() const { return *this; }
#define LATTICE_MSL_OP(op)                                                                                          \
  template <class T>                                                                                                \
  constexpr small_float& operator op##=(const T& other) {                                                           \
    return *this = small_float(float(*this) op static_cast<float>(other));                                          \
  }                                                                                                                 \
  friend constexpr small_float operator op(small_float a, small_float b) { return float(a) op float(b); }           \
  friend constexpr float operator op(small_float a, float b) { return float(a) op b; }                              \
  friend constexpr float operator op(float a, small_float b) { return a op float(b); }                              \
  template <class T, class = metal::enable_if_t<metal::is_integral_v<T>>>                                           \
  friend constexpr small_float operator op(small_float a, T b) {                                                    \
    return float(a) op float(small_float(b));                                                                       \
  }                                                                                                                 \
  template <class T, class = metal::enable_if_t<metal::is_integral_v<T>>>                                           \
  friend constexpr small_float operator op(T a, small_float b) {                                                    \
    return float(small_float(a)) op float(b);                                                                       \
  }
  LATTICE_MSL_OP(+) LATTICE_MSL_OP(-) LATTICE_MSL_OP(*) LATTICE_MSL_OP(/)
#undef LATTICE_MSL_OP
#define LATTICE_MSL_OP(op)                                                                                          \
  friend constexpr bool operator op(small_float a, small_float b) { return float(a) op float(b); }                  \
  friend constexpr bool operator op(small_float a, float b) { return float(a) op b; }                               \
  friend constexpr bool operator op(float a, small_float b) { return a op float(b); }                               \
  template <class T, class = metal::enable_if_t<metal::is_integral_v<T>>>                                           \
  friend constexpr bool operator op(small_float a, T b) { return float(a) op static_cast<float>(b); }               \
  template <class T, class = metal::enable_if_t<metal::is_integral_v<T>>>                                           \
  friend constexpr bool operator op(T a, small_float b) { return static_cast<float>(a) op float(b); }
  LATTICE_MSL_OP(==) LATTICE_MSL_OP(!=) LATTICE_MSL_OP(<) LATTICE_MSL_OP(>) LATTICE_MSL_OP(<=) LATTICE_MSL_OP(>=)
#undef LATTICE_MSL_OP
};

struct bfloat_codec {
  static constexpr unsigned short encode(float x) { return target::encode_bfloat(x); }
  static constexpr float decode(unsigned short x) { return target::bfloat_to_float(x); }
};
using bfloat = small_float<bfloat_codec>;

#ifdef LATTICE_MSL_NATIVE_HALF
using half = _Float16;
#else
struct half_codec {
  static constexpr unsigned short encode(float x) { return target::encode_half(x); }
  static constexpr float decode(unsigned short x) { return target::decode_half(x); }
};
using half = small_float<half_codec>;
#endif
static_assert(sizeof(half) == 2 && sizeof(bfloat) == 2);

namespace metal {

using lattice_msl::bfloat;
using lattice_msl::half;
using lattice_msl::uchar;
using lattice_msl::uint;
using lattice_msl::ulong;
using lattice_msl::ushort;

template <class T> struct is_floating_point : bool_constant<is_any_of<T, float, half, bfloat>> {};
template <class T> inline constexpr bool is_floating_point_v = is_floating_point<T>::value;
template <class T> struct is_arithmetic : bool_constant<is_integral_v<T> || is_floating_point_v<T>> {};
template <class T> inline constexpr bool is_arithmetic_v = is_arithmetic<T>::value;
template <class T> inline constexpr bool is_scalar_v = is_arithmetic_v<T>;

template <class T> concept Scalar = is_arithmetic_v<T> || is_same_v<T, double>;
template <class T> concept Integer = is_integral_v<T>;
template <class T> concept Floating = is_floating_point_v<T> || is_same_v<T, double>;

// What a mathematical function of a scalar returns: its own type, or float for an integer.
template <class T> using float_result = conditional_t<is_floating_point_v<T>, T, float>;
// The type of an expression over two scalars; not promoted where both are the same.
template <class A, class B>
using common_scalar = conditional_t<is_same_v<A, B>, A, decltype(declval<A>() + declval<B>())>;

}  // namespace metal
}  // namespace lattice_msl
