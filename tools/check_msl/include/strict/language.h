// Chapters 2.1 and 4, and what is built into the language: scalars, address spaces, as_type.
#pragma once
#pragma GCC system_header

// What clang takes for an address space of its own. A pointer or reference must name one: tools/check_msl looks for that, since
// `thread` is what clang has by itself.
#define device __attribute__((address_space(1)))
#define constant const __attribute__((address_space(2)))
#define threadgroup __attribute__((address_space(3)))
#define thread
#define kernel

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef _Float16 half;
// Clang 14 has a type of this name for storing alone. What is computed with it here is half's, which is strict in the same places.
struct bfloat {
  bfloat() = default;
  explicit bfloat(float value);
  explicit bfloat(half value);
  explicit bfloat(int value);
  operator float() const;
  ushort bits;
};

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define MAXFLOAT 3.402823466e+38f
#define HUGE_VALF __builtin_huge_valf()
#define FLT_MAX 3.402823466e+38f
#define FLT_MIN 1.175494351e-38f
#define FLT_EPSILON 1.192092896e-07f
#define INT_MAX 2147483647
#define UINT_MAX 4294967295u

constexpr half operator""h(long double value) {
  return static_cast<half>(value);
}

/// 2.21: the same bits as another type of the same size.
template <typename To, typename From>
constexpr To as_type(From from) {
  static_assert(sizeof(To) == sizeof(From), "as_type needs types of the same size");
  return __builtin_bit_cast(To, from);
}

namespace metal {

// 6.1 has type traits in <metal_type_traits>, as C++14's. The variables of the same meaning (is_same_v …) are C++17's.
template <typename T, T V>
struct integral_constant {
  static constexpr constant T value = V;
};
typedef integral_constant<bool, true> true_type;
typedef integral_constant<bool, false> false_type;
template <typename A, typename B> struct is_same : false_type {};
template <typename A> struct is_same<A, A> : true_type {};
template <bool C, typename T = void> struct enable_if {};
template <typename T> struct enable_if<true, T> { typedef T type; };
template <bool C, typename T = void> using enable_if_t = typename enable_if<C, T>::type;
template <bool C, typename A, typename B> struct conditional { typedef A type; };
template <typename A, typename B> struct conditional<false, A, B> { typedef B type; };
template <bool C, typename A, typename B> using conditional_t = typename conditional<C, A, B>::type;

// Of these headers alone.
template <typename T> constexpr bool is_floating_point_v_strict = is_same<T, float>::value || is_same<T, half>::value || is_same<T, bfloat>::value;

using ::half;
using ::bfloat;
using ::uchar;
using ::ushort;
using ::uint;
using ::ulong;

}  // namespace metal
