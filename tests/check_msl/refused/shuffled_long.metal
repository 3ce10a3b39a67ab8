// 6: no matching function for call to 'simd_sum'
#include <metal_stdlib>
using namespace metal;

inline long all(long x) {
  return simd_sum(x);
}
