// 2.2: vectors, which are clang's own, with its swizzles. What clang has not is a vector made like a call, `float4(a, b.xy, c)`:
// macros with parameters stand before the types' names, and leave names alone that no parenthesis follows. Vectors of bool clang 14 has
// not; a kernel that compares vectors needs something else.
#pragma once
#pragma GCC system_header

namespace metal {

template <typename T, int N> using vec = T __attribute__((ext_vector_type(N)));

namespace strict {

template <typename T> struct components { enum { count = 1 }; typedef T scalar; };
template <typename T> struct components<const T> : components<T> {};
template <typename T> struct components<T __attribute__((ext_vector_type(2)))> { enum { count = 2 }; typedef T scalar; };
template <typename T> struct components<T __attribute__((ext_vector_type(3)))> { enum { count = 3 }; typedef T scalar; };
template <typename T> struct components<T __attribute__((ext_vector_type(4)))> { enum { count = 4 }; typedef T scalar; };

template <typename... A> struct total { enum { count = 0 }; };
template <typename First, typename... A>
struct total<First, A...> { enum { count = components<First>::count + total<A...>::count }; };

template <typename V, typename... A>
V make(A...) {
  static_assert(static_cast<int>(total<A...>::count) == static_cast<int>(components<V>::count) ||
                    (sizeof...(A) == 1 && static_cast<int>(total<A...>::count) == 1),
                "a vector is made of one scalar or of as many components as it has");
  return V();
}
template <typename V>
V make() {
  return V();
}

// The type itself and its vectors, as functions of `T` take them.
template <typename T> struct is_float_like { enum { value = is_floating_point_v_strict<typename components<T>::scalar> }; };
template <typename T> struct is_integer { enum { value = false }; };
template <> struct is_integer<char> { enum { value = true }; };
template <> struct is_integer<signed char> { enum { value = true }; };
template <> struct is_integer<uchar> { enum { value = true }; };
template <> struct is_integer<short> { enum { value = true }; };
template <> struct is_integer<ushort> { enum { value = true }; };
template <> struct is_integer<int> { enum { value = true }; };
template <> struct is_integer<uint> { enum { value = true }; };
template <> struct is_integer<long> { enum { value = true }; };
template <> struct is_integer<ulong> { enum { value = true }; };
template <typename T> struct is_integer_like { enum { value = is_integer<typename components<T>::scalar>::value }; };
template <typename T> struct is_long_like {
  enum { value = sizeof(typename components<T>::scalar) == 8 };
};

}  // namespace strict

#define LATTICE_STRICT_VECTORS(type)                                                                                  \
  typedef type type##2 __attribute__((ext_vector_type(2)));                                                           \
  typedef type type##3 __attribute__((ext_vector_type(3)));                                                           \
  typedef type type##4 __attribute__((ext_vector_type(4)));
LATTICE_STRICT_VECTORS(char)
LATTICE_STRICT_VECTORS(uchar)
LATTICE_STRICT_VECTORS(short)
LATTICE_STRICT_VECTORS(ushort)
LATTICE_STRICT_VECTORS(int)
LATTICE_STRICT_VECTORS(uint)
LATTICE_STRICT_VECTORS(long)
LATTICE_STRICT_VECTORS(ulong)
LATTICE_STRICT_VECTORS(half)
LATTICE_STRICT_VECTORS(float)
#undef LATTICE_STRICT_VECTORS

}  // namespace metal

#define char2(...) ::metal::strict::make<::metal::char2>(__VA_ARGS__)
#define char3(...) ::metal::strict::make<::metal::char3>(__VA_ARGS__)
#define char4(...) ::metal::strict::make<::metal::char4>(__VA_ARGS__)
#define uchar2(...) ::metal::strict::make<::metal::uchar2>(__VA_ARGS__)
#define uchar3(...) ::metal::strict::make<::metal::uchar3>(__VA_ARGS__)
#define uchar4(...) ::metal::strict::make<::metal::uchar4>(__VA_ARGS__)
#define short2(...) ::metal::strict::make<::metal::short2>(__VA_ARGS__)
#define short3(...) ::metal::strict::make<::metal::short3>(__VA_ARGS__)
#define short4(...) ::metal::strict::make<::metal::short4>(__VA_ARGS__)
#define ushort2(...) ::metal::strict::make<::metal::ushort2>(__VA_ARGS__)
#define ushort3(...) ::metal::strict::make<::metal::ushort3>(__VA_ARGS__)
#define ushort4(...) ::metal::strict::make<::metal::ushort4>(__VA_ARGS__)
#define int2(...) ::metal::strict::make<::metal::int2>(__VA_ARGS__)
#define int3(...) ::metal::strict::make<::metal::int3>(__VA_ARGS__)
#define int4(...) ::metal::strict::make<::metal::int4>(__VA_ARGS__)
#define uint2(...) ::metal::strict::make<::metal::uint2>(__VA_ARGS__)
#define uint3(...) ::metal::strict::make<::metal::uint3>(__VA_ARGS__)
#define uint4(...) ::metal::strict::make<::metal::uint4>(__VA_ARGS__)
#define long2(...) ::metal::strict::make<::metal::long2>(__VA_ARGS__)
#define long3(...) ::metal::strict::make<::metal::long3>(__VA_ARGS__)
#define long4(...) ::metal::strict::make<::metal::long4>(__VA_ARGS__)
#define ulong2(...) ::metal::strict::make<::metal::ulong2>(__VA_ARGS__)
#define ulong3(...) ::metal::strict::make<::metal::ulong3>(__VA_ARGS__)
#define ulong4(...) ::metal::strict::make<::metal::ulong4>(__VA_ARGS__)
#define half2(...) ::metal::strict::make<::metal::half2>(__VA_ARGS__)
#define half3(...) ::metal::strict::make<::metal::half3>(__VA_ARGS__)
#define half4(...) ::metal::strict::make<::metal::half4>(__VA_ARGS__)
#define float2(...) ::metal::strict::make<::metal::float2>(__VA_ARGS__)
#define float3(...) ::metal::strict::make<::metal::float3>(__VA_ARGS__)
#define float4(...) ::metal::strict::make<::metal::float4>(__VA_ARGS__)
