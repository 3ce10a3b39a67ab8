// Vectors of 2 to 4, their swizzles, and packed vectors.
//
// A swizzle is a member of a union beside the vector's elements: `v.xy` is an object that reads and writes v's own x
// and y. A vector has only those swizzles that the translated file names: the translator lists them in
// LATTICE_MSL_SWIZZLES_2, _3 and _4, as S(name, indices...).
#pragma once

#include "scalar.h"

namespace lattice_msl {
namespace metal {

template <class T, int N> struct vec;

template <class T, int N, int... I>
struct swizzle {
  T data[N];

  using value = vec<T, sizeof...(I)>;
  swizzle() = default;
  swizzle(const swizzle&) = default;
  constexpr operator value() const { return value(data[I]...); }
  constexpr T operator[](int i) const { return value(*this)[i]; }
  constexpr const swizzle& operator=(const value& v) {
    const value from = v;  // v may be the very vector that is written: v.xy = v.yx
    const T* next = from.data;
    ((data[I] = *next++), ...);
    return *this;
  }
  constexpr const swizzle& operator=(const swizzle& v) { return *this = value(v); }
};

#define LATTICE_MSL_VEC_COMMON(N)                                                                                   \
  using value_type = T;                                                                                             \
  vec() = default;                                                                                                  \
  vec(const vec&) = default;                                                                                        \
  constexpr vec& operator=(const vec& v) {                                                                          \
    LATTICE_MSL_ASSIGN_WHOLE(T, N, v)                                                                               \
    for (int i = 0; i < N; ++i) data[i] = v.data[i];                                                                \
    return *this;                                                                                                   \
  }                                                                                                                 \
  template <class V> requires converts_to<V, T, N>                                                                  \
  explicit constexpr vec(const V& v) : vec() {                                                                      \
    if constexpr (is_same_v<V, vec<element_of<V>, N>>) {                                                            \
      if (target::convert<N>(data, v.data)) return;                                                                 \
    }                                                                                                               \
    for (int i = 0; i < N; ++i) data[i] = static_cast<T>(element(v, i));                                            \
  }                                                                                                                 \
  constexpr T& operator[](long i) { return data[i]; }                                                               \
  constexpr const T& operator[](long i) const { return data[i]; }

template <class V> struct vector_traits { static constexpr int size = 0; using type = V; };
template <class T, int N> struct vector_traits<vec<T, N>> { static constexpr int size = N; using type = T; };
template <class T, int N, int... I>
struct vector_traits<swizzle<T, N, I...>> { static constexpr int size = sizeof...(I); using type = T; };

template <class V> inline constexpr int size_of = vector_traits<remove_cvref_t<V>>::size;
template <class V> using element_of = typename vector_traits<remove_cvref_t<V>>::type;
template <class V> concept VectorLike = size_of<V> != 0;
template <class V, class T, int N>
concept converts_to = VectorLike<V> && size_of<V> == N && !is_same_v<element_of<V>, T>;
template <class... A>
inline constexpr int total_size = (0 + ... + (size_of<A> == 0 ? 1 : size_of<A>));
template <class A> concept Component = VectorLike<A> || Scalar<remove_cvref_t<A>>;

template <class V>
constexpr auto element(const V& v, int i) {
  if constexpr (VectorLike<V>) return v[i];
  else return v;
}

// The K-th number among scalars and vectors set side by side.
template <int K, class A, class... Rest>
constexpr auto component(const A& a, const Rest&... rest) {
  constexpr int size = size_of<A> == 0 ? 1 : size_of<A>;
  if constexpr (K < size) return element(a, K);
  else return component<K - size>(rest...);
}

#define S(name, ...) swizzle<T, 2, __VA_ARGS__> name;
template <class T>
struct alignas(2 * sizeof(T)) vec<T, 2> {
  union {
    T data[2];
    struct { T x, y; };
    struct { T r, g; };
    LATTICE_MSL_SWIZZLES_2
  };
  LATTICE_MSL_VEC_COMMON(2)
  template <Scalar A> constexpr vec(A a) : data{static_cast<T>(a), static_cast<T>(a)} {}
  template <Component... A> requires(sizeof...(A) == 2 && total_size<A...> == 2)
  constexpr vec(const A&... a) : data{static_cast<T>(component<0>(a...)), static_cast<T>(component<1>(a...))} {}
};
#undef S

#define S(name, ...) swizzle<T, 3, __VA_ARGS__> name;
template <class T>
struct alignas(4 * sizeof(T)) vec<T, 3> {
  union {
    T data[3];
    struct { T x, y, z; };
    struct { T r, g, b; };
    LATTICE_MSL_SWIZZLES_3
  };
  LATTICE_MSL_VEC_COMMON(3)
  template <Scalar A> constexpr vec(A a) : data{static_cast<T>(a), static_cast<T>(a), static_cast<T>(a)} {}
  template <Component... A> requires(sizeof...(A) >= 2 && total_size<A...> == 3)
  constexpr vec(const A&... a)
      : data{static_cast<T>(component<0>(a...)), static_cast<T>(component<1>(a...)),
             static_cast<T>(component<2>(a...))} {}
};
#undef S

#define S(name, ...) swizzle<T, 4, __VA_ARGS__> name;
template <class T>
struct alignas(4 * sizeof(T)) vec<T, 4> {
  union {
    T data[4];
    struct { T x, y, z, w; };
    struct { T r, g, b, a; };
    LATTICE_MSL_SWIZZLES_4
  };
  LATTICE_MSL_VEC_COMMON(4)
  template <Scalar A>
  constexpr vec(A v) : data{static_cast<T>(v), static_cast<T>(v), static_cast<T>(v), static_cast<T>(v)} {}
  template <Component... A> requires(sizeof...(A) >= 2 && total_size<A...> == 4)
  constexpr vec(const A&... v)
      : data{static_cast<T>(component<0>(v...)), static_cast<T>(component<1>(v...)),
             static_cast<T>(component<2>(v...)), static_cast<T>(component<3>(v...))} {}
};
#undef S
#undef LATTICE_MSL_VEC_COMMON

/// A vector with the alignment of its element, as buffers hold it.
template <class T, int N> struct packed_vec;
#define LATTICE_MSL_PACKED(N, NAMES)                                                                                \
  template <class T>                                                                                                \
  struct packed_vec<T, N> {                                                                                         \
    union {                                                                                                         \
      T data[N];                                                                                                    \
      struct { T NAMES; };                                                                                          \
    };                                                                                                              \
    packed_vec() = default;                                                                                         \
    constexpr packed_vec(const vec<T, N>& v) : packed_vec() {                                                       \
      for (int i = 0; i < N; ++i) data[i] = v[i];                                                                   \
    }                                                                                                               \
    template <Component... A> requires(total_size<A...> == N && sizeof...(A) >= 2)                                  \
    constexpr packed_vec(const A&... a) : packed_vec(vec<T, N>(a...)) {}                                            \
    template <Scalar A> constexpr packed_vec(A a) : packed_vec(vec<T, N>(a)) {}                                     \
    template <class V> requires converts_to<V, T, N>                                                                \
    explicit constexpr packed_vec(const V& v) : packed_vec(vec<T, N>(v)) {}                                         \
    constexpr operator vec<T, N>() const {                                                                          \
      vec<T, N> v;                                                                                                  \
      for (int i = 0; i < N; ++i) v.data[i] = data[i];                                                              \
      return v;                                                                                                     \
    }                                                                                                               \
    constexpr T& operator[](long i) { return data[i]; }                                                             \
    constexpr const T& operator[](long i) const { return data[i]; }                                                 \
  };
#define LATTICE_MSL_COMMA ,
LATTICE_MSL_PACKED(2, x LATTICE_MSL_COMMA y)
LATTICE_MSL_PACKED(3, x LATTICE_MSL_COMMA y LATTICE_MSL_COMMA z)
LATTICE_MSL_PACKED(4, x LATTICE_MSL_COMMA y LATTICE_MSL_COMMA z LATTICE_MSL_COMMA w)
#undef LATTICE_MSL_COMMA
#undef LATTICE_MSL_PACKED
template <class T, int N>
struct vector_traits<packed_vec<T, N>> { static constexpr int size = N; using type = T; };

// ---- operators

template <class A, class B>
concept Operands = (VectorLike<A> && VectorLike<B> && size_of<A> == size_of<B> && is_same_v<element_of<A>, element_of<B>>) ||
                   (VectorLike<A> && Scalar<B>) || (Scalar<A> && VectorLike<B>);
template <class A, class B> using operand_element = conditional_t<VectorLike<A>, element_of<A>, element_of<B>>;
template <class A, class B> inline constexpr int operand_size = size_of<A> != 0 ? size_of<A> : size_of<B>;

// A scalar operand takes the vector's element type first, as MSL has it: half4 * 2.0f is a half4.
#define LATTICE_MSL_BINARY(op)                                                                                      \
  template <class A, class B> requires Operands<A, B>                                                               \
  LATTICE_MSL_INLINE constexpr auto operator op(const A& a, const B& b) {                                           \
    using T = operand_element<A, B>;                                                                                \
    vec<T, operand_size<A, B>> out;                                                                                 \
    for (int i = 0; i < operand_size<A, B>; ++i)                                                                    \
      out.data[i] = static_cast<T>(static_cast<T>(element(a, i)) op static_cast<T>(element(b, i)));                 \
    return out;                                                                                                     \
  }                                                                                                                 \
  template <VectorLike A, class B> requires Operands<A, B>                                                          \
  LATTICE_MSL_INLINE constexpr A& operator op##=(A& a, const B& b) {                                                \
    a = a op b;                                                                                                     \
    return a;                                                                                                       \
  }
LATTICE_MSL_BINARY(+) LATTICE_MSL_BINARY(-) LATTICE_MSL_BINARY(*) LATTICE_MSL_BINARY(/) LATTICE_MSL_BINARY(%)
LATTICE_MSL_BINARY(&) LATTICE_MSL_BINARY(|) LATTICE_MSL_BINARY(^) LATTICE_MSL_BINARY(<<) LATTICE_MSL_BINARY(>>)
#undef LATTICE_MSL_BINARY

#define LATTICE_MSL_COMPARE(op)                                                                                     \
  template <class A, class B> requires Operands<A, B>                                                               \
  LATTICE_MSL_INLINE constexpr auto operator op(const A& a, const B& b) {                                           \
    using T = operand_element<A, B>;                                                                                \
    vec<bool, operand_size<A, B>> out;                                                                              \
    for (int i = 0; i < operand_size<A, B>; ++i)                                                                    \
      out.data[i] = static_cast<T>(element(a, i)) op static_cast<T>(element(b, i));                                 \
    return out;                                                                                                     \
  }
LATTICE_MSL_COMPARE(==) LATTICE_MSL_COMPARE(!=) LATTICE_MSL_COMPARE(<) LATTICE_MSL_COMPARE(>)
LATTICE_MSL_COMPARE(<=) LATTICE_MSL_COMPARE(>=) LATTICE_MSL_COMPARE(&&) LATTICE_MSL_COMPARE(||)
#undef LATTICE_MSL_COMPARE

template <VectorLike V, class F>
LATTICE_MSL_INLINE constexpr auto map(const V& v, F f) {
  vec<decltype(f(v[0])), size_of<V>> out;
  for (int i = 0; i < size_of<V>; ++i) out.data[i] = f(v[i]);
  return out;
}
template <VectorLike V> constexpr auto operator-(const V& v) {
  return map(v, [](auto x) { return static_cast<decltype(x)>(-x); });
}
template <VectorLike V> constexpr auto operator+(const V& v) { return map(v, [](auto x) { return x; }); }
template <VectorLike V> constexpr auto operator~(const V& v) {
  return map(v, [](auto x) { return static_cast<decltype(x)>(~x); });
}
template <VectorLike V> constexpr auto operator!(const V& v) { return map(v, [](auto x) { return !x; }); }
template <VectorLike V> constexpr V& operator++(V& v) { v = v + element_of<V>(1); return v; }
template <VectorLike V> constexpr V& operator--(V& v) { v = v - element_of<V>(1); return v; }
template <VectorLike V> constexpr V operator++(V& v, int) { V old = v; ++v; return old; }
template <VectorLike V> constexpr V operator--(V& v, int) { V old = v; --v; return old; }

}  // namespace metal

#define LATTICE_MSL_VECTORS(T)                                                                                      \
  using T##2 = metal::vec<T, 2>;                                                                                    \
  using T##3 = metal::vec<T, 3>;                                                                                    \
  using T##4 = metal::vec<T, 4>;                                                                                    \
  namespace metal {                                                                                                 \
  using lattice_msl::T##2; using lattice_msl::T##3; using lattice_msl::T##4;                                        \
  }
#define LATTICE_MSL_PACKED_VECTORS(T)                                                                               \
  using packed_##T##2 = metal::packed_vec<T, 2>;                                                                    \
  using packed_##T##3 = metal::packed_vec<T, 3>;                                                                    \
  using packed_##T##4 = metal::packed_vec<T, 4>;                                                                    \
  namespace metal {                                                                                                 \
  using lattice_msl::packed_##T##2; using lattice_msl::packed_##T##3; using lattice_msl::packed_##T##4;             \
  }
LATTICE_MSL_VECTORS(bool) LATTICE_MSL_VECTORS(char) LATTICE_MSL_VECTORS(uchar) LATTICE_MSL_VECTORS(short)
LATTICE_MSL_VECTORS(ushort) LATTICE_MSL_VECTORS(int) LATTICE_MSL_VECTORS(uint) LATTICE_MSL_VECTORS(long)
LATTICE_MSL_VECTORS(ulong) LATTICE_MSL_VECTORS(half) LATTICE_MSL_VECTORS(bfloat) LATTICE_MSL_VECTORS(float)
LATTICE_MSL_PACKED_VECTORS(char) LATTICE_MSL_PACKED_VECTORS(uchar) LATTICE_MSL_PACKED_VECTORS(short)
LATTICE_MSL_PACKED_VECTORS(ushort) LATTICE_MSL_PACKED_VECTORS(int) LATTICE_MSL_PACKED_VECTORS(uint)
LATTICE_MSL_PACKED_VECTORS(half) LATTICE_MSL_PACKED_VECTORS(bfloat) LATTICE_MSL_PACKED_VECTORS(float)
LATTICE_MSL_PACKED_VECTORS(long) LATTICE_MSL_PACKED_VECTORS(ulong)
#undef LATTICE_MSL_VECTORS
#undef LATTICE_MSL_PACKED_VECTORS

}  // namespace lattice_msl
