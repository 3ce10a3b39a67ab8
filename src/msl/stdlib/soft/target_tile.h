// What simdgroup_matrix needs of the soft device.
#pragma once

#include "soft/target_simd.h"
#include "tile_layout.h"

namespace lattice_msl::target {

/// Says which lane this is, and in checking mode that the simdgroup comes together. Where nothing is checked nobody waits: a
/// lane loads and stores elements of its own.
inline unsigned enter_tile([[maybe_unused]] const char* name, [[maybe_unused]] Site site) {
#ifdef LATTICE_MSL_CHECK
  unsigned lane = 0;
  active_mask<lattice::soft::kSimdScope>(lane, name, site);
  return lane;
#else
  return runtime->lane();
#endif
}

/// A lane's share of a matrix, as Apple's GPUs spread it.
template <class T>
struct Tile {
  metal::vec<T, 2> elements;

  void fill(T value) { elements = metal::vec<T, 2>(value); }
  /// Takes f(row, column) for the elements that the lane holds.
  template <class F> void load(unsigned lane, F f) {
    for (unsigned i = 0; i < 2; ++i) elements[i] = f(tile::row(lane), tile::column(lane) + i);
  }
  /// Calls f(row, column, element) for them.
  template <class F> void store(unsigned lane, F f) const {
    for (unsigned i = 0; i < 2; ++i) f(tile::row(lane), tile::column(lane) + i, elements[i]);
  }
  metal::vec<T, 2>& thread_elements() { return elements; }
};

/// What a lane brings to a product, and takes from it.
template <class D, class A, class B, class C>
union Operands {
  struct {
    metal::vec<A, 2> a;
    metal::vec<B, 2> b;
    metal::vec<C, 2> c;
  } in;
  metal::vec<D, 2> out;
};

/// The whole product, by the last lane to come: each element a sum in float over ascending k, rounded once.
template <class D, class A, class B, class C>
void combine_product(Collective* all) {
  using Slot = Operands<D, A, B, C>;
  float a[8][8], b[8][8], sums[8][8];
  for (unsigned lane = 0; lane < lattice::soft::kSimdWidth; ++lane) {
    const auto& in = slot<Slot>(all, lane).in;
    const unsigned row = tile::row(lane), column = tile::column(lane);
    for (unsigned i = 0; i < 2; ++i) {
      a[row][column + i] = static_cast<float>(in.a[i]);
      b[row][column + i] = static_cast<float>(in.b[i]);
      sums[row][column + i] = static_cast<float>(in.c[i]);
    }
  }
  for (unsigned row = 0; row < 8; ++row) {
    for (unsigned k = 0; k < 8; ++k) {
      for (unsigned column = 0; column < 8; ++column) sums[row][column] += a[row][k] * b[k][column];
    }
  }
  for (unsigned lane = 0; lane < lattice::soft::kSimdWidth; ++lane) {
    const float* sum = &sums[tile::row(lane)][tile::column(lane)];
    slot<Slot>(all, lane).out = metal::vec<D, 2>(static_cast<D>(sum[0]), static_cast<D>(sum[1]));
  }
}

template <class D, class A, class B, class C>
void multiply_accumulate(Tile<D>& d, const Tile<A>& a, const Tile<B>& b, const Tile<C>& c, const char* name, Site site) {
  Operands<D, A, B, C> own;
  own.in = {a.elements, b.elements, c.elements};
  unsigned lane = 0;
  const Collective* all = collect<lattice::soft::kSimdScope>(own, combine_product<D, A, B, C>, name, site, lane);
  d.elements = slot<Operands<D, A, B, C>>(all, lane).out;
}

}  // namespace lattice_msl::target
