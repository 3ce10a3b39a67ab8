// 7: reinterpret_cast from 'device float *' to 'threadgroup uint *'
#include <metal_stdlib>
using namespace metal;

kernel void looks(device float* x [[buffer(0)]], device uint* out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  // The words are those of another memory.
  out[i] = *reinterpret_cast<threadgroup uint*>(x);
}
