// 7: no matching function for call to 'atomic_max_explicit'
#include <metal_stdlib>
using namespace metal;

kernel void most(device const ulong* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  threadgroup atomic_ulong largest;
  atomic_max_explicit(&largest, x[i], memory_order_relaxed);
}
