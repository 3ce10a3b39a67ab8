// 6: use of undeclared identifier 'memory_order_acquire'
#include <metal_stdlib>
using namespace metal;

kernel void reads(device atomic_uint* x [[buffer(0)]], device uint* y [[buffer(1)]]) {
  y[0] = atomic_load_explicit(x, memory_order_acquire);
}
