// 5: thread_index_in_simdgroup is uint, ushort, and no int
#include <metal_stdlib>
using namespace metal;

kernel void asks(device float* x [[buffer(0)]], int lane [[thread_index_in_simdgroup]]) {
  x[lane] = 0.0f;
}
