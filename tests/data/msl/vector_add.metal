// In the style of Apple's first sample.
#include <metal_stdlib>
using namespace metal;

kernel void vector_add(device const float* a [[buffer(0)]],
                       device const float* b [[buffer(1)]],
                       device float* out [[buffer(2)]],
                       constant uint& n [[buffer(3)]],
                       uint i [[thread_position_in_grid]]) {
  if (i >= n) return;
  out[i] = a[i] + b[i];
}

kernel void scale_float4(device const float4* in, device float4* out, constant float& s, uint i [[thread_position_in_grid]]) {
  float4 v = in[i];
  v.xy = v.yx;
  v.zw *= 2.0;
  out[i] = float4(v.xyz * s, v.w);
}
