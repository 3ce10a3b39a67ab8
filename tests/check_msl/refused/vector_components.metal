// *: a vector is made of one scalar or of as many components as it has
#include <metal_stdlib>
using namespace metal;

inline float4 three(float a, float b, float c) {
  return float4(a, b, c);
}
