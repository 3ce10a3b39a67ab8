// 6: cannot assign to variable 'scale' with const-qualified type
#include <metal_stdlib>
using namespace metal;

kernel void writes(constant float& scale [[buffer(0)]]) {
  scale = 1.0f;
}
