// 6: implicit conversion increases floating-point precision: 'float' to 'double'
#include <metal_stdlib>
using namespace metal;

inline float twice(float x) {
  return float(x * 2.0);
}
