// 5: buffer(31): the highest index is 30
#include <metal_stdlib>
using namespace metal;

kernel void takes(device float* x [[buffer(31)]], uint i [[thread_position_in_grid]]) {
  x[i] = 0.0f;
}
