// 6: use of old-style cast
#include <metal_stdlib>
using namespace metal;

kernel void casts(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = *(device float*)(x + 1);
}
