// simdgroup_matrix<T, 8, 8>: 64 numbers spread over the 32 lanes of a simdgroup, two a lane. A target brings Tile<T>, which
// holds a lane's share in whatever form suits it, and multiply_accumulate for tiles.
#pragma once

#include "simd.h"

namespace lattice_msl {
namespace metal {

template <class T, int Columns, int Rows>
struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8, "simdgroup matrices are 8 by 8");
  using storage_type = vec<T, 2>;
  target::Tile<T> tile;

  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T diagonal LATTICE_MSL_SITE) {
    tile.load(target::enter_tile("simdgroup_matrix" LATTICE_MSL_AT),
              [diagonal](uint row, uint column) { return row == column ? diagonal : T(0); });
  }
  /// The two elements that Apple's GPUs keep in this lane (tile_layout.h).
  vec<T, 2>& thread_elements() { return tile.thread_elements(); }
  const vec<T, 2>& thread_elements() const { return const_cast<simdgroup_matrix*>(this)->tile.thread_elements(); }
};

template <class T, int C = 8, int R = 8>
simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(identity_t<T> value) {
  simdgroup_matrix<T, C, R> out;
  out.tile.fill(value);
  return out;
}
template <class T, int C = 8, int R = 8>
simdgroup_matrix<T, C, R> make_diagonal_simdgroup_matrix(identity_t<T> value) { return simdgroup_matrix<T, C, R>(value); }

// The address is a simdgroup's common one.
template <class T, int C, int R, class U>
void simdgroup_load(simdgroup_matrix<T, C, R>& m, const U* source, ulong elements_per_row = C, ulong2 origin = ulong2(0ul),
                    bool transposed = false LATTICE_MSL_SITE) {
  source += origin[1] * elements_per_row + origin[0];
  m.tile.load(target::enter_tile("simdgroup_load" LATTICE_MSL_AT), [=](ulong row, ulong column) {
    return static_cast<T>(transposed ? source[column * elements_per_row + row] : source[row * elements_per_row + column]);
  });
}
template <class T, int C, int R, class U>
void simdgroup_store(const simdgroup_matrix<T, C, R>& m, U* destination, ulong elements_per_row = C,
                     ulong2 origin = ulong2(0ul), bool transposed = false LATTICE_MSL_SITE) {
  destination += origin[1] * elements_per_row + origin[0];
  m.tile.store(target::enter_tile("simdgroup_store" LATTICE_MSL_AT), [=](ulong row, ulong column, T value) {
    (transposed ? destination[column * elements_per_row + row] : destination[row * elements_per_row + column]) = value;
  });
}

// A hint (hints.h): simdgroup_load() where the address and elements_per_row are even, so that a lane's two neighbours may come in one load.
template <class T, int C, int R, class U>
void lattice_load_pairs(simdgroup_matrix<T, C, R>& m, const U* source, ulong elements_per_row, bool transposed LATTICE_MSL_SITE) {
#ifdef LATTICE_MSL_PAIRS
  m.tile.load_pairs(source, elements_per_row, transposed);
#else
  simdgroup_load(m, source, elements_per_row, ulong2(0ul), transposed LATTICE_MSL_AT);
#endif
}

// d = a·b + c, each element summed in float and rounded once.
template <class D, class A, class B, class C>
void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                   const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c LATTICE_MSL_SITE) {
  target::multiply_accumulate(d.tile, a.tile, b.tile, c.tile, "simdgroup_multiply_accumulate" LATTICE_MSL_AT);
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
