// Mathematical, common and relational functions, of scalars and element by element of vectors. A half or a bfloat is
// computed in float and rounded once.
#pragma once

#include "limits.h"
#include "vec.h"

namespace lattice_msl {
namespace metal {

// ---- the shape of a function: written once for scalars, lifted to vectors

#define LATTICE_MSL_UNARY(name, expression)                                                                         \
  template <Scalar X>                                                                                               \
  LATTICE_MSL_INLINE constexpr auto name(X value) {                                                                 \
    const float x = static_cast<float>(value);                                                                      \
    return static_cast<float_result<X>>(expression);                                                                \
  }                                                                                                                 \
  template <VectorLike V>                                                                                           \
  LATTICE_MSL_INLINE constexpr auto name(const V& v) {                                                              \
    return map(v, [](auto x) { return name(x); });                                                                  \
  }

template <class A, class B> using scalar_pair = conditional_t<is_same_v<A, B>, A, common_scalar<A, B>>;

#define LATTICE_MSL_LIFT2(name)                                                                                     \
  template <class A, class B> requires Operands<A, B>                                                               \
  LATTICE_MSL_INLINE constexpr auto name(const A& a, const B& b) {                                                  \
    using T = operand_element<A, B>;                                                                                \
    using R = decltype(name(T(), T()));                                                                             \
    vec<R, operand_size<A, B>> out;                                                                                 \
    for (int i = 0; i < operand_size<A, B>; ++i)                                                                    \
      out.data[i] = name(static_cast<T>(element(a, i)), static_cast<T>(element(b, i)));                             \
    return out;                                                                                                     \
  }
#define LATTICE_MSL_BINARY(name, expression)                                                                        \
  template <Scalar A, Scalar B>                                                                                     \
  LATTICE_MSL_INLINE constexpr auto name(A first, B second) {                                                       \
    const float x = static_cast<float>(first);                                                                      \
    const float y = static_cast<float>(second);                                                                     \
    return static_cast<float_result<scalar_pair<A, B>>>(expression);                                                \
  }                                                                                                                 \
  LATTICE_MSL_LIFT2(name)

// Three operands of which at least the first or the last is a vector.
template <class A, class B, class C>
concept Operands3 = (VectorLike<A> || VectorLike<B> || VectorLike<C>) && Component<A> && Component<B> && Component<C>;
template <class A, class B, class C>
inline constexpr int operand_size3 = size_of<A> != 0 ? size_of<A> : size_of<B> != 0 ? size_of<B> : size_of<C>;
template <class A, class B, class C>
using operand_element3 = conditional_t<VectorLike<A>, element_of<A>, conditional_t<VectorLike<B>, element_of<B>, element_of<C>>>;

#define LATTICE_MSL_LIFT3(name)                                                                                     \
  template <class A, class B, class C> requires Operands3<A, B, C>                                                  \
  LATTICE_MSL_INLINE constexpr auto name(const A& a, const B& b, const C& c) {                                      \
    using T = operand_element3<A, B, C>;                                                                            \
    static_assert((!VectorLike<A> || is_same_v<element_of<A>, T>) && (!VectorLike<B> || is_same_v<element_of<B>, T>) && \
                      (!VectorLike<C> || is_same_v<element_of<C>, T>),                                              \
                  "the vectors must have one element type");                                                        \
    vec<T, operand_size3<A, B, C>> out;                                                                             \
    for (int i = 0; i < operand_size3<A, B, C>; ++i)                                                                \
      out.data[i] = name(static_cast<T>(element(a, i)), static_cast<T>(element(b, i)), static_cast<T>(element(c, i))); \
    return out;                                                                                                     \
  }

// ---- mathematics

LATTICE_MSL_UNARY(acos, target::acos(x)) LATTICE_MSL_UNARY(acosh, target::acosh(x))
LATTICE_MSL_UNARY(asin, target::asin(x)) LATTICE_MSL_UNARY(asinh, target::asinh(x))
LATTICE_MSL_UNARY(atan, target::atan(x)) LATTICE_MSL_UNARY(atanh, target::atanh(x))
LATTICE_MSL_UNARY(ceil, target::ceil(x)) LATTICE_MSL_UNARY(cos, target::cos(x))
LATTICE_MSL_UNARY(cosh, target::cosh(x)) LATTICE_MSL_UNARY(cospi, target::cospi(x))
LATTICE_MSL_UNARY(exp, target::exp(x)) LATTICE_MSL_UNARY(exp2, target::exp2(x))
LATTICE_MSL_UNARY(exp10, target::exp10(x)) LATTICE_MSL_UNARY(fabs, target::fabs(x))
LATTICE_MSL_UNARY(floor, target::floor(x)) LATTICE_MSL_UNARY(log, target::log(x))
LATTICE_MSL_UNARY(log2, target::log2(x)) LATTICE_MSL_UNARY(log10, target::log10(x))
LATTICE_MSL_UNARY(rint, target::rint(x)) LATTICE_MSL_UNARY(round, target::round(x))
LATTICE_MSL_UNARY(rsqrt, target::rsqrt(x)) LATTICE_MSL_UNARY(sin, target::sin(x))
LATTICE_MSL_UNARY(sinh, target::sinh(x)) LATTICE_MSL_UNARY(sinpi, target::sinpi(x))
LATTICE_MSL_UNARY(sqrt, target::sqrt(x)) LATTICE_MSL_UNARY(tan, target::tan(x))
LATTICE_MSL_UNARY(tanh, target::tanh(x)) LATTICE_MSL_UNARY(tanpi, target::sinpi(x) / target::cospi(x))
LATTICE_MSL_UNARY(trunc, target::trunc(x))
// Below 1, as the specification asks: the largest float under it where x − floor(x) rounds up.
LATTICE_MSL_UNARY(fract, target::fmin(x - target::floor(x), 0x1.fffffep-1f))
LATTICE_MSL_UNARY(saturate, target::fmin(target::fmax(x, 0.0f), 1.0f))
LATTICE_MSL_UNARY(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : target::isnan(x) ? 0.0f : x)
LATTICE_MSL_UNARY(degrees, x * 57.2957795130823208768f)
LATTICE_MSL_UNARY(radians, x * 0.01745329251994329577f)

LATTICE_MSL_BINARY(atan2, target::atan2(x, y)) LATTICE_MSL_BINARY(copysign, target::copysign(x, y))
LATTICE_MSL_BINARY(fdim, target::fdim(x, y)) LATTICE_MSL_BINARY(fmod, target::fmod(x, y))
LATTICE_MSL_BINARY(fmax, target::fmax(x, y)) LATTICE_MSL_BINARY(fmin, target::fmin(x, y))
LATTICE_MSL_BINARY(nextafter, target::nextafter(x, y)) LATTICE_MSL_BINARY(pow, target::pow(x, y))
LATTICE_MSL_BINARY(powr, target::pow(x, y))
LATTICE_MSL_BINARY(step, y < x ? 0.0f : 1.0f)

template <Floating X> X sincos(X x, X& c) {
  c = cos(x);
  return sin(x);
}
template <class T, int N> vec<T, N> sincos(vec<T, N> x, vec<T, N>& c) {
  c = cos(x);
  return sin(x);
}

namespace precise {
using metal::sincos; using metal::acos; using metal::acosh; using metal::asin; using metal::asinh; using metal::atan; using metal::atan2;
using metal::atanh; using metal::ceil; using metal::cos; using metal::cosh; using metal::cospi; using metal::exp;
using metal::exp10; using metal::exp2; using metal::fabs; using metal::floor; using metal::fmax; using metal::fmin;
using metal::fmod; using metal::fract; using metal::log; using metal::log10; using metal::log2; using metal::pow;
using metal::powr; using metal::rint; using metal::round; using metal::rsqrt; using metal::sin; using metal::sinh;
using metal::sinpi; using metal::sqrt; using metal::tan; using metal::tanh; using metal::tanpi; using metal::trunc;
}  // namespace precise
namespace fast {
LATTICE_MSL_UNARY(cos, target::fast::cos(x)) LATTICE_MSL_UNARY(exp, target::fast::exp(x))
LATTICE_MSL_UNARY(exp2, target::fast::exp2(x)) LATTICE_MSL_UNARY(exp10, target::fast::exp10(x))
LATTICE_MSL_UNARY(log, target::fast::log(x)) LATTICE_MSL_UNARY(log2, target::fast::log2(x))
LATTICE_MSL_UNARY(log10, target::fast::log10(x)) LATTICE_MSL_UNARY(rsqrt, target::fast::rsqrt(x))
LATTICE_MSL_UNARY(sin, target::fast::sin(x)) LATTICE_MSL_UNARY(sqrt, target::fast::sqrt(x))
LATTICE_MSL_UNARY(tan, target::fast::tan(x))
LATTICE_MSL_BINARY(pow, target::fast::pow(x, y)) LATTICE_MSL_BINARY(powr, target::fast::pow(x, y))
using metal::sincos; using metal::acos; using metal::acosh; using metal::asin; using metal::asinh; using metal::atan; using metal::atan2;
using metal::atanh; using metal::ceil; using metal::cosh; using metal::cospi; using metal::fabs; using metal::floor;
using metal::fmax; using metal::fmin; using metal::fmod; using metal::fract; using metal::rint; using metal::round;
using metal::sinh; using metal::sinpi; using metal::tanh; using metal::tanpi; using metal::trunc;
}  // namespace fast

template <Scalar A, Scalar B, Scalar C>
LATTICE_MSL_INLINE auto fma(A a, B b, C c) {
  using R = float_result<scalar_pair<scalar_pair<A, B>, C>>;
  return static_cast<R>(target::fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c)));
}
LATTICE_MSL_LIFT3(fma)
template <class A, class B, class C> LATTICE_MSL_INLINE auto mad(const A& a, const B& b, const C& c) { return a * b + c; }

template <Floating X> auto ldexp(X x, int e) { return static_cast<X>(target::ldexp(static_cast<float>(x), e)); }
template <VectorLike V, class E> auto ldexp(const V& v, const E& e) {
  vec<element_of<V>, size_of<V>> out;
  for (int i = 0; i < size_of<V>; ++i) out.data[i] = ldexp(v[i], element(e, i));
  return out;
}
template <Floating X> X frexp(X x, int& e) { return static_cast<X>(target::frexp(static_cast<float>(x), e)); }
template <class T, int N> vec<T, N> frexp(vec<T, N> x, vec<int, N>& e) {
  for (int i = 0; i < N; ++i) x[i] = frexp(x[i], e[i]);
  return x;
}
template <Floating X> X modf(X x, X& whole) {
  whole = trunc(x);
  const bool infinite = target::isinf(static_cast<float>(x));
  return copysign(infinite ? X(0.0f) : static_cast<X>(x - whole), x);
}
template <class T, int N> vec<T, N> modf(vec<T, N> x, vec<T, N>& whole) {
  for (int i = 0; i < N; ++i) x[i] = modf(x[i], whole[i]);
  return x;
}
template <Floating X> int ilogb(X x) {
  int e = 0;
  target::frexp(static_cast<float>(x), e);
  return e - 1;
}

// ---- common

template <Scalar A, Scalar B>
LATTICE_MSL_INLINE constexpr auto min(A a, B b) {
  using T = scalar_pair<A, B>;
  if constexpr (Floating<T>) return fmin(static_cast<T>(a), static_cast<T>(b));
  else return static_cast<T>(static_cast<T>(b) < static_cast<T>(a) ? static_cast<T>(b) : static_cast<T>(a));
}
LATTICE_MSL_LIFT2(min)
template <Scalar A, Scalar B>
LATTICE_MSL_INLINE constexpr auto max(A a, B b) {
  using T = scalar_pair<A, B>;
  if constexpr (Floating<T>) return fmax(static_cast<T>(a), static_cast<T>(b));
  else return static_cast<T>(static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(b) : static_cast<T>(a));
}
LATTICE_MSL_LIFT2(max)
template <class A, class B, class C> LATTICE_MSL_INLINE constexpr auto min3(const A& a, const B& b, const C& c) { return min(min(a, b), c); }
template <class A, class B, class C> LATTICE_MSL_INLINE constexpr auto max3(const A& a, const B& b, const C& c) { return max(max(a, b), c); }
template <class A, class B, class C> LATTICE_MSL_INLINE constexpr auto median3(const A& a, const B& b, const C& c) {
  return max(min(a, b), min(max(a, b), c));
}

template <Scalar A, Scalar B, Scalar C>
LATTICE_MSL_INLINE constexpr auto clamp(A x, B low, C high) {
  return min(max(x, static_cast<A>(low)), static_cast<A>(high));
}
LATTICE_MSL_LIFT3(clamp)
template <Scalar A, Scalar B, Scalar C>
LATTICE_MSL_INLINE constexpr auto mix(A x, B y, C a) {
  return static_cast<scalar_pair<A, B>>(x + (y - x) * a);
}
LATTICE_MSL_LIFT3(mix)
template <Scalar A, Scalar B, Scalar C>
LATTICE_MSL_INLINE constexpr auto smoothstep(A low, B high, C x) {
  const auto t = clamp((x - low) / (high - low), C(0.0f), C(1.0f));
  return static_cast<C>(t * t * (C(3.0f) - C(2.0f) * t));
}
LATTICE_MSL_LIFT3(smoothstep)

template <Scalar X>
LATTICE_MSL_INLINE constexpr auto abs(X x) {
  if constexpr (Floating<X>) return fabs(x);
  else if constexpr (is_unsigned_v<X>) return x;
  else return static_cast<X>(x < 0 ? -x : x);
}
template <VectorLike V> LATTICE_MSL_INLINE constexpr auto abs(const V& v) { return map(v, [](auto x) { return abs(x); }); }

// ---- relational

#define LATTICE_MSL_PREDICATE(name, expression)                                                                     \
  template <Floating X>                                                                                             \
  LATTICE_MSL_INLINE constexpr bool name(X value) {                                                                 \
    const float x = static_cast<float>(value);                                                                      \
    return expression;                                                                                              \
  }                                                                                                                 \
  template <VectorLike V>                                                                                           \
  LATTICE_MSL_INLINE constexpr auto name(const V& v) {                                                              \
    return map(v, [](auto x) { return name(x); });                                                                  \
  }
LATTICE_MSL_PREDICATE(isnan, target::isnan(x)) LATTICE_MSL_PREDICATE(isinf, target::isinf(x))
LATTICE_MSL_PREDICATE(isfinite, !target::isnan(x) && !target::isinf(x))
LATTICE_MSL_PREDICATE(isnormal, !target::isnan(x) && !target::isinf(x) && target::fabs(x) >= static_cast<float>(numeric_limits<X>::min()))
LATTICE_MSL_PREDICATE(signbit, (__builtin_bit_cast(unsigned, x) >> 31) != 0)
#undef LATTICE_MSL_PREDICATE
template <Floating A> constexpr bool isunordered(A x, A y) { return isnan(x) || isnan(y); }
template <Floating A> constexpr bool isordered(A x, A y) { return !isunordered(x, y); }
LATTICE_MSL_LIFT2(isunordered)
LATTICE_MSL_LIFT2(isordered)

template <VectorLike V> LATTICE_MSL_INLINE constexpr bool any(const V& v) {
  bool out = false;
  for (int i = 0; i < size_of<V>; ++i) out = out || static_cast<bool>(v[i]);
  return out;
}
template <VectorLike V> LATTICE_MSL_INLINE constexpr bool all(const V& v) {
  bool out = true;
  for (int i = 0; i < size_of<V>; ++i) out = out && static_cast<bool>(v[i]);
  return out;
}
constexpr bool any(bool x) { return x; }
constexpr bool all(bool x) { return x; }

// c ? b : a, element by element.
template <Scalar A, Scalar B, Scalar C> LATTICE_MSL_INLINE constexpr auto select(A a, B b, C c) {
  using T = scalar_pair<A, B>;
  return c ? static_cast<T>(b) : static_cast<T>(a);
}
template <class A, class B, class C> requires(VectorLike<A> || VectorLike<B>)
LATTICE_MSL_INLINE constexpr auto select(const A& a, const B& b, const C& c) {
  using T = operand_element<A, B>;
  vec<T, operand_size<A, B>> out;
  for (int i = 0; i < operand_size<A, B>; ++i) {
    out.data[i] = static_cast<bool>(element(c, i)) ? static_cast<T>(element(b, i)) : static_cast<T>(element(a, i));
  }
  return out;
}

template <class To, class From>
LATTICE_MSL_INLINE To as_type(const From& from) {
  if constexpr (VectorLike<From> && !is_same_v<From, vec<element_of<From>, size_of<From>>>) {
    return as_type<To>(vec<element_of<From>, size_of<From>>(from));  // a swizzle or a packed vector
  } else {
    static_assert(sizeof(To) == sizeof(From), "as_type keeps the size");
    return target::bit_copy<To>(from);
  }
}

// ---- geometry

template <VectorLike A, VectorLike B> LATTICE_MSL_INLINE constexpr auto dot(const A& a, const B& b) {
  static_assert(size_of<A> == size_of<B>);
  element_of<A> sum = static_cast<element_of<A>>(a[0] * b[0]);
  for (int i = 1; i < size_of<A>; ++i) sum = static_cast<element_of<A>>(sum + a[i] * b[i]);
  return sum;
}
template <VectorLike A, VectorLike B> constexpr auto cross(const A& a, const B& b) {
  static_assert(size_of<A> == 3 && size_of<B> == 3);
  return vec<element_of<A>, 3>(a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]);
}
template <VectorLike A> auto length_squared(const A& a) { return dot(a, a); }
template <VectorLike A> auto length(const A& a) { return sqrt(dot(a, a)); }
template <VectorLike A, VectorLike B> auto distance_squared(const A& a, const B& b) { return length_squared(a - b); }
template <VectorLike A, VectorLike B> auto distance(const A& a, const B& b) { return length(a - b); }
template <VectorLike A> auto normalize(const A& a) { return a * rsqrt(dot(a, a)); }
template <VectorLike A, VectorLike B> auto reflect(const A& i, const B& n) { return i - n * (element_of<A>(2.0f) * dot(n, i)); }
template <VectorLike A, VectorLike B> auto faceforward(const A& n, const B& i, const A& reference) {
  return dot(reference, i) < element_of<A>(0.0f) ? vec<element_of<A>, size_of<A>>(n) : -n;
}
template <VectorLike A, VectorLike B> auto refract(const A& i, const B& n, element_of<A> eta) {
  using T = element_of<A>;
  const T d = dot(n, i);
  const T k = static_cast<T>(T(1.0f) - eta * eta * (T(1.0f) - d * d));
  return k < T(0.0f) ? vec<T, size_of<A>>(T(0.0f)) : eta * i - (eta * d + sqrt(k)) * n;
}

}  // namespace metal

// Part of the language in MSL, so that it needs no `using`.
using metal::as_type;
}  // namespace lattice_msl
