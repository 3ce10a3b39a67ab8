// 6: implicit conversion loses floating-point precision: 'float' to 'const half'
#include <metal_stdlib>
using namespace metal;

inline half rounded(float x) {
  const half y = x;
  return y;
}
