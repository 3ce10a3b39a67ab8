// 7: cannot initialize a variable of type 'threadgroup float *' with an lvalue of type 'device float *'
#include <metal_stdlib>
using namespace metal;

kernel void copies(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  threadgroup float y[32];
  threadgroup float* z = x;
  y[i] = z[i];
  x[i] = y[i];
}
