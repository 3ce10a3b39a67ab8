// 6: no matching function for call to 'simd_shuffle_xor'
#include <metal_stdlib>
using namespace metal;

inline float neighbour(float x) {
  return simd_shuffle_xor(x, 1);
}
