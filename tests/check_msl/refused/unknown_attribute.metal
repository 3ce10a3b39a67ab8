// 5: a compute kernel of Metal 3.1 has no attribute thread_index_in_warp
#include <metal_stdlib>
using namespace metal;

kernel void asks(device float* x [[buffer(0)]], uint i [[thread_index_in_warp]]) {
  x[i] = 0.0f;
}
