// 13: no matching function for call to 'add_up'
#include <metal_stdlib>
using namespace metal;

inline float add_up(thread const float* x) {
  return x[0] + x[1];
}

kernel void adds(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  threadgroup float y[32];
  y[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  x[i] = add_up(y);
}
