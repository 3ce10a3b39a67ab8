// 6: use of undeclared identifier 'atomic_thread_fence'
#include <metal_stdlib>
using namespace metal;

kernel void fences(device uint* x [[buffer(0)]]) {
  atomic_thread_fence(mem_flags::mem_device, memory_order_relaxed);
  x[0] = 1;
}
