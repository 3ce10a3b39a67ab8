// 6: cannot initialize a variable of type 'const metal::uint4'
#include <metal_stdlib>
using namespace metal;

inline uint first(float4 x) {
  const uint4 y = x;
  return y.x;
}
