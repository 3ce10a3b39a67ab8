// 5: a kernel returns void
#include <metal_stdlib>
using namespace metal;

kernel float gives(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  return x[i];
}
