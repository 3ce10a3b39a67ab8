// simdgroup_matrix<T, 8, 8>: 64 numbers spread over the 32 lanes of a simdgroup, two a lane, as Apple's GPUs spread
// them. A target brings `exchange`, by which a lane reads what another holds.
#pragma once

#include "simd.h"

namespace lattice_msl {
namespace metal {

template <class T, int Columns, int Rows>
struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8, "simdgroup matrices are 8 by 8");
  using storage_type = vec<T, 2>;
  vec<T, 2> elements;

  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T diagonal);
  vec<T, 2>& thread_elements() { return elements; }
  const vec<T, 2>& thread_elements() const { return elements; }
};

namespace tile {
// Lane l holds (row(l), column(l)) and its right neighbour.
constexpr uint row(uint lane) { return lane / 16 * 4 + lane / 2 % 4; }
constexpr uint column(uint lane) { return lane / 8 % 2 * 4 + lane % 2 * 2; }
constexpr uint owner(uint row, uint column) { return row / 4 * 16 + column / 4 * 8 + row % 4 * 2 + column % 4 / 2; }
}  // namespace tile

template <class T, int C, int R>
simdgroup_matrix<T, C, R>::simdgroup_matrix(T diagonal) {
  const uint lane = target::current_lane();
  for (uint i = 0; i < 2; ++i) elements[i] = tile::row(lane) == tile::column(lane) + i ? diagonal : T(0);
}

template <class T, int C = 8, int R = 8>
simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(identity_t<T> value) {
  simdgroup_matrix<T, C, R> out;
  out.elements = vec<T, 2>(value);
  return out;
}
template <class T, int C = 8, int R = 8>
simdgroup_matrix<T, C, R> make_diagonal_simdgroup_matrix(identity_t<T> value) { return simdgroup_matrix<T, C, R>(value); }

// Every lane reads or writes its own two elements; the address is a simdgroup's common one.
template <class T, int C, int R, class U>
void simdgroup_load(simdgroup_matrix<T, C, R>& m, const U* source, ulong elements_per_row = C, ulong2 origin = ulong2(0ul),
                    bool transposed = false LATTICE_MSL_SITE) {
  const uint lane = target::enter_tile("simdgroup_load" LATTICE_MSL_AT);
  for (uint i = 0; i < 2; ++i) {
    ulong row = tile::row(lane), column = tile::column(lane) + i;
    if (transposed) swap(row, column);
    m.elements[i] = source[(origin[1] + row) * elements_per_row + origin[0] + column];
  }
}
template <class T, int C, int R, class U>
void simdgroup_store(const simdgroup_matrix<T, C, R>& m, U* destination, ulong elements_per_row = C,
                     ulong2 origin = ulong2(0ul), bool transposed = false LATTICE_MSL_SITE) {
  const uint lane = target::enter_tile("simdgroup_store" LATTICE_MSL_AT);
  for (uint i = 0; i < 2; ++i) {
    ulong row = tile::row(lane), column = tile::column(lane) + i;
    if (transposed) swap(row, column);
    destination[(origin[1] + row) * elements_per_row + origin[0] + column] = m.elements[i];
  }
}

// d = a·b + c, each element summed in float over ascending k and rounded once.
template <class D, class A, class B, class C>
void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                   const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c LATTICE_MSL_SITE) {
  struct Pair {
    vec<A, 2> a;
    vec<B, 2> b;
  };
  const target::Exchange<Pair> others(Pair{a.elements, b.elements}, "simdgroup_multiply_accumulate" LATTICE_MSL_AT);
  const uint row = tile::row(others.lane()), column = tile::column(others.lane());
  float sum[2] = {static_cast<float>(c.elements[0]), static_cast<float>(c.elements[1])};
  for (uint k = 0; k < 8; ++k) {
    const float left = static_cast<float>(others.read(tile::owner(row, k)).a[k % 2]);
    const Pair right = others.read(tile::owner(k, column));
    for (uint i = 0; i < 2; ++i) sum[i] += left * static_cast<float>(right.b[i]);
  }
  d.elements = vec<D, 2>(static_cast<D>(sum[0]), static_cast<D>(sum[1]));
}
template <class D, class A, class B>
void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                        const simdgroup_matrix<B, 8, 8>& b LATTICE_MSL_SITE) {
  simdgroup_multiply_accumulate(d, a, b, make_filled_simdgroup_matrix<float, 8, 8>(0.0f) LATTICE_MSL_AT);
}
template <class T>
simdgroup_matrix<T, 8, 8> operator*(const simdgroup_matrix<T, 8, 8>& a, const simdgroup_matrix<T, 8, 8>& b) {
  simdgroup_matrix<T, 8, 8> out;
  simdgroup_multiply(out, a, b);
  return out;
}

}  // namespace metal

using simdgroup_float8x8 = metal::simdgroup_matrix<float, 8, 8>;
using simdgroup_half8x8 = metal::simdgroup_matrix<half, 8, 8>;
using simdgroup_bfloat8x8 = metal::simdgroup_matrix<bfloat, 8, 8>;
namespace metal {
using lattice_msl::simdgroup_bfloat8x8;
using lattice_msl::simdgroup_float8x8;
using lattice_msl::simdgroup_half8x8;
}  // namespace metal

}  // namespace lattice_msl
