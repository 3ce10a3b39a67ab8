// 6: no matching function for call to 'atomic_fetch_add_explicit'
#include <metal_stdlib>
using namespace metal;

kernel void counts(device atomic_ulong* count [[buffer(0)]]) {
  atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}
