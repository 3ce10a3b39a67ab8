#pragma once

#include <metal_simdgroup_matrix>
#include <metal_stdlib>

using namespace metal;

// Another hint (hints.h), apart from the others for what it includes: simdgroup_load() where the address and
// the row's elements are even.

#ifndef __LATTICE_MSL__
template <typename From>
inline void lattice_load_pairs(thread simdgroup_float8x8& matrix, From from, ulong elements_per_row,
                               bool transposed) {
  simdgroup_load(matrix, from, elements_per_row, ulong2(0, 0), transposed);
}
#endif
