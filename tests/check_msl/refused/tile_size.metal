// *: simdgroup_matrix is 8 by 8
#include <metal_simdgroup_matrix>
#include <metal_stdlib>
using namespace metal;

inline void fills() {
  simdgroup_matrix<float, 16, 16> tile;
  (void)tile;
}
