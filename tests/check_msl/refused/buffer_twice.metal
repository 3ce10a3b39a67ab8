// 5: buffer(1) is taken by another parameter
#include <metal_stdlib>
using namespace metal;

kernel void takes(device float* x [[buffer(1)]], device float* y [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  x[i] = y[i];
}
