// 5: a kernel's buffer(0) is a pointer or reference to constant or device memory
#include <metal_stdlib>
using namespace metal;

kernel void takes(thread float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  x[i] = 0.0f;
}
