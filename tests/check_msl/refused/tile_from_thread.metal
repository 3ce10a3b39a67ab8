// 8: no matching function for call to 'simdgroup_load'
#include <metal_simdgroup_matrix>
#include <metal_stdlib>
using namespace metal;

inline void loads(thread const float* x) {
  simdgroup_float8x8 tile;
  simdgroup_load(tile, x);
}
