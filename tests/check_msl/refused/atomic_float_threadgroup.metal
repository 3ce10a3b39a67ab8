// 7: no matching function for call to 'atomic_fetch_add_explicit'
#include <metal_stdlib>
using namespace metal;

kernel void sums(device const float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  threadgroup atomic_float total;
  atomic_fetch_add_explicit(&total, x[i], memory_order_relaxed);
}
