#pragma once

#include <metal_simdgroup_matrix>
#include <metal_stdlib>

using namespace metal;

namespace lattice_gpu {

/// simdgroup_load() of numbers of another type than the matrix's.
inline void load_floats(thread simdgroup_float8x8& matrix, device const float* from, ulong stride, bool transposed) {
  simdgroup_load(matrix, from, stride, ulong2(0, 0), transposed);
}
inline void load_floats(thread simdgroup_float8x8& matrix, device const half* from, ulong stride, bool transposed) {
#ifdef __LATTICE_MSL__  // which converts as it loads
  simdgroup_load(matrix, from, stride, ulong2(0, 0), transposed);
#else
  simdgroup_half8x8 own;
  simdgroup_load(own, from, stride, ulong2(0, 0), transposed);
  matrix.thread_elements() = float2(own.thread_elements());
#endif
}

}  // namespace lattice_gpu
