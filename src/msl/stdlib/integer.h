// Integer functions.
#pragma once

#include "math.h"

namespace lattice_msl {
namespace metal {

#define LATTICE_MSL_INTEGER1(name, expression)                                                                      \
  template <Integer X>                                                                                              \
  LATTICE_MSL_INLINE constexpr X name(X x) {                                                                        \
    using U = make_unsigned_t<X>;                                                                                   \
    constexpr int bits = static_cast<int>(sizeof(X)) * 8;                                                           \
    const U u = static_cast<U>(x);                                                                                  \
    (void)u, (void)bits;                                                                                            \
    return static_cast<X>(expression);                                                                              \
  }                                                                                                                 \
  template <VectorLike V>                                                                                           \
  LATTICE_MSL_INLINE constexpr auto name(const V& v) {                                                              \
    return map(v, [](auto x) { return name(x); });                                                                  \
  }

template <class U> constexpr U reverse_bits_of(U u) {
  U out = 0;
  for (int i = 0; i < static_cast<int>(sizeof(U)) * 8; ++i) out = static_cast<U>((out << 1) | ((u >> i) & 1));
  return out;
}
template <class U> LATTICE_MSL_INLINE constexpr int leading_zeros(U u) {
  if constexpr (sizeof(U) == 8) return target::clz(static_cast<unsigned long>(u));
  else return target::clz(static_cast<unsigned>(u)) - (32 - static_cast<int>(sizeof(U)) * 8);
}
LATTICE_MSL_INTEGER1(clz, leading_zeros(u))
LATTICE_MSL_INTEGER1(ctz, u == 0 ? bits : bits - 1 - leading_zeros(static_cast<U>(u & (~u + 1))))
LATTICE_MSL_INTEGER1(popcount, target::popcount(u))
LATTICE_MSL_INTEGER1(reverse_bits, reverse_bits_of(u))
#undef LATTICE_MSL_INTEGER1

template <class X> struct wider { using type = conditional_t<is_signed_v<X>, long, unsigned long>; };

template <Integer X> LATTICE_MSL_INLINE constexpr X mulhi(X x, X y) {
  if constexpr (sizeof(X) == 8) return target::mulhi(x, y);
  else {
    using W = typename wider<X>::type;
    return static_cast<X>((static_cast<W>(x) * static_cast<W>(y)) >> (sizeof(X) * 8));
  }
}
LATTICE_MSL_LIFT2(mulhi)

// Saturation is decided before the operation, so that nothing overflows.
template <Integer X> constexpr X addsat(X x, X y) {
  using L = numeric_limits<X>;
  if (y >= 0) return x > static_cast<X>(L::max() - y) ? L::max() : static_cast<X>(x + y);
  return x < static_cast<X>(L::min() - y) ? L::min() : static_cast<X>(x + y);
}
LATTICE_MSL_LIFT2(addsat)
template <Integer X> constexpr X subsat(X x, X y) {
  using L = numeric_limits<X>;
  if (y >= 0) return x < static_cast<X>(L::min() + y) ? L::min() : static_cast<X>(x - y);
  return x > static_cast<X>(L::max() + y) ? L::max() : static_cast<X>(x - y);
}
LATTICE_MSL_LIFT2(subsat)
template <Integer X> constexpr X absdiff(X x, X y) {
  using U = make_unsigned_t<X>;
  return static_cast<X>(x > y ? static_cast<U>(static_cast<U>(x) - static_cast<U>(y))
                              : static_cast<U>(static_cast<U>(y) - static_cast<U>(x)));
}
LATTICE_MSL_LIFT2(absdiff)
// Averages without the sum's carry: x + y = 2·(x & y) + (x ^ y).
template <Integer X> constexpr X hadd(X x, X y) { return static_cast<X>((x & y) + ((x ^ y) >> 1)); }
LATTICE_MSL_LIFT2(hadd)
template <Integer X> constexpr X rhadd(X x, X y) { return static_cast<X>((x | y) - ((x ^ y) >> 1)); }
LATTICE_MSL_LIFT2(rhadd)
template <Integer X> constexpr X rotate(X x, X count) {
  using U = make_unsigned_t<X>;
  constexpr U bits = sizeof(X) * 8;
  const U n = static_cast<U>(static_cast<U>(count) & (bits - 1));
  const U u = static_cast<U>(x);
  return n == 0 ? x : static_cast<X>(static_cast<U>((u << n) | (u >> (bits - n))));
}
LATTICE_MSL_LIFT2(rotate)
template <Integer X> constexpr X mul24(X x, X y) {
  static_assert(sizeof(X) == 4);
  if constexpr (is_unsigned_v<X>) return (x & 0xffffffu) * (y & 0xffffffu);
  else return static_cast<X>(static_cast<unsigned>((x << 8) >> 8) * static_cast<unsigned>((y << 8) >> 8));
}
template <Integer X> constexpr X mad24(X x, X y, X z) { return static_cast<X>(mul24(x, y) + z); }
template <Integer X> constexpr X madhi(X a, X b, X c) { return static_cast<X>(mulhi(a, b) + c); }
LATTICE_MSL_LIFT3(madhi)
template <Integer X> constexpr X madsat(X a, X b, X c) {
  static_assert(sizeof(X) <= 4);
  using W = typename wider<X>::type;
  const W wide = static_cast<W>(a) * static_cast<W>(b);
  const W low = numeric_limits<X>::min(), high = numeric_limits<X>::max();
  if (wide > high - (c > 0 ? static_cast<W>(c) : 0)) return numeric_limits<X>::max();
  const W sum = wide + static_cast<W>(c);
  return static_cast<X>(sum < low ? low : sum > high ? high : sum);
}
LATTICE_MSL_LIFT3(madsat)
template <Integer X> constexpr X extract_bits(X x, uint offset, uint count) {
  using U = make_unsigned_t<X>;
  constexpr uint bits = sizeof(X) * 8;
  if (count == 0 || offset >= bits) return 0;
  const U up = static_cast<U>(static_cast<U>(x) << (bits - offset - count));
  return static_cast<X>(static_cast<X>(up) >> (bits - count));
}
template <Integer X> constexpr X insert_bits(X base, X insert, uint offset, uint count) {
  using U = make_unsigned_t<X>;
  constexpr uint bits = sizeof(X) * 8;
  if (count == 0 || offset >= bits) return base;
  const U mask = static_cast<U>((count >= bits ? ~U(0) : static_cast<U>((U(1) << count) - 1)) << offset);
  return static_cast<X>((static_cast<U>(base) & ~mask) | (static_cast<U>(static_cast<U>(insert) << offset) & mask));
}

}  // namespace metal
}  // namespace lattice_msl
