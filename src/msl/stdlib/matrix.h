// matrix<T, C, R>: C columns of R numbers, `m[c][r]`.
#pragma once

#include "math.h"

namespace lattice_msl {
namespace metal {

template <class T, int C, int R>
struct matrix {
  vec<T, R> columns[C];

  matrix() = default;
  template <Scalar A> explicit constexpr matrix(A diagonal) : columns() {
    for (int c = 0; c < C; ++c) {
      for (int r = 0; r < R; ++r) columns[c][r] = c == r ? static_cast<T>(diagonal) : T(0);
    }
  }
  template <class U> explicit constexpr matrix(const matrix<U, C, R>& other) : columns() {
    for (int c = 0; c < C; ++c) columns[c] = vec<T, R>(other.columns[c]);
  }
  template <VectorLike... V> requires(sizeof...(V) == C)
  constexpr matrix(const V&... v) : columns{vec<T, R>(v)...} {}
  template <Scalar... A> requires(sizeof...(A) == C * R)
  constexpr matrix(A... a) : columns() {
    const T values[] = {static_cast<T>(a)...};
    for (int i = 0; i < C * R; ++i) columns[i / R][i % R] = values[i];
  }
  constexpr vec<T, R>& operator[](int c) { return columns[c]; }
  constexpr const vec<T, R>& operator[](int c) const { return columns[c]; }
};

#define LATTICE_MSL_ELEMENTWISE(op)                                                                                 \
  template <class T, int C, int R>                                                                                  \
  constexpr matrix<T, C, R> operator op(const matrix<T, C, R>& a, const matrix<T, C, R>& b) {                       \
    matrix<T, C, R> out;                                                                                            \
    for (int c = 0; c < C; ++c) out[c] = a[c] op b[c];                                                              \
    return out;                                                                                                     \
  }                                                                                                                 \
  template <class T, int C, int R>                                                                                  \
  constexpr matrix<T, C, R>& operator op##=(matrix<T, C, R>& a, const matrix<T, C, R>& b) {                         \
    return a = a op b;                                                                                              \
  }
LATTICE_MSL_ELEMENTWISE(+) LATTICE_MSL_ELEMENTWISE(-)
#undef LATTICE_MSL_ELEMENTWISE
template <class T, int C, int R, Scalar S> constexpr matrix<T, C, R> operator*(const matrix<T, C, R>& a, S s) {
  matrix<T, C, R> out;
  for (int c = 0; c < C; ++c) out[c] = a[c] * s;
  return out;
}
template <class T, int C, int R, Scalar S> constexpr matrix<T, C, R> operator*(S s, const matrix<T, C, R>& a) { return a * s; }
template <class T, int C, int R, Scalar S> constexpr matrix<T, C, R>& operator*=(matrix<T, C, R>& a, S s) { return a = a * s; }
template <class T, int C, int R, VectorLike V> constexpr vec<T, R> operator*(const matrix<T, C, R>& a, const V& v) {
  static_assert(size_of<V> == C);
  vec<T, R> out = a[0] * v[0];
  for (int c = 1; c < C; ++c) out += a[c] * v[c];
  return out;
}
template <class T, int C, int R, VectorLike V> constexpr vec<T, C> operator*(const V& v, const matrix<T, C, R>& a) {
  static_assert(size_of<V> == R);
  vec<T, C> out;
  for (int c = 0; c < C; ++c) out[c] = dot(v, a[c]);
  return out;
}
template <class T, int C, int K, int R>
constexpr matrix<T, C, R> operator*(const matrix<T, K, R>& a, const matrix<T, C, K>& b) {
  matrix<T, C, R> out;
  for (int c = 0; c < C; ++c) out[c] = a * b[c];
  return out;
}
template <class T, int C, int R> constexpr bool operator==(const matrix<T, C, R>& a, const matrix<T, C, R>& b) {
  bool out = true;
  for (int c = 0; c < C; ++c) out = out && all(a[c] == b[c]);
  return out;
}
template <class T, int C, int R> constexpr matrix<T, R, C> transpose(const matrix<T, C, R>& a) {
  matrix<T, R, C> out;
  for (int c = 0; c < C; ++c) {
    for (int r = 0; r < R; ++r) out[r][c] = a[c][r];
  }
  return out;
}
template <class T> constexpr T determinant(const matrix<T, 2, 2>& a) { return a[0][0] * a[1][1] - a[1][0] * a[0][1]; }
template <class T> constexpr T determinant(const matrix<T, 3, 3>& a) { return dot(a[0], cross(a[1], a[2])); }
template <class T> constexpr T determinant(const matrix<T, 4, 4>& a) {
  T sum = T(0);
  for (int c = 0; c < 4; ++c) {  // along the first row
    matrix<T, 3, 3> minor;
    for (int k = 0, to = 0; k < 4; ++k) {
      if (k == c) continue;
      minor[to++] = vec<T, 3>(a[k][1], a[k][2], a[k][3]);
    }
    sum += (c % 2 == 0 ? T(1) : T(-1)) * a[c][0] * determinant(minor);
  }
  return sum;
}

}  // namespace metal

#define LATTICE_MSL_MATRIX(T, C, R)                                                                                 \
  using T##C##x##R = metal::matrix<T, C, R>;                                                                        \
  namespace metal { using lattice_msl::T##C##x##R; }
#define LATTICE_MSL_MATRICES(T)                                                                                     \
  LATTICE_MSL_MATRIX(T, 2, 2) LATTICE_MSL_MATRIX(T, 2, 3) LATTICE_MSL_MATRIX(T, 2, 4)                               \
  LATTICE_MSL_MATRIX(T, 3, 2) LATTICE_MSL_MATRIX(T, 3, 3) LATTICE_MSL_MATRIX(T, 3, 4)                               \
  LATTICE_MSL_MATRIX(T, 4, 2) LATTICE_MSL_MATRIX(T, 4, 3) LATTICE_MSL_MATRIX(T, 4, 4)
LATTICE_MSL_MATRICES(float) LATTICE_MSL_MATRICES(half) LATTICE_MSL_MATRICES(bfloat)
#undef LATTICE_MSL_MATRICES
#undef LATTICE_MSL_MATRIX

}  // namespace lattice_msl
