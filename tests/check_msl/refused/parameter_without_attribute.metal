// 5: a kernel's parameter needs an attribute
#include <metal_stdlib>
using namespace metal;

kernel void lacks(device float* x [[buffer(0)]], uint i) {
  x[i] = 0.0f;
}
