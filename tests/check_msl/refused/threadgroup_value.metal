// 6: a threadgroup variable cannot have a value to begin with
#include <metal_stdlib>
using namespace metal;

kernel void starts(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  threadgroup float memory[2] = {0.0f, 0.0f};
  x[i] = memory[i];
}
