// 6: implicit conversion changes signedness: 'int' to 'const uint'
#include <metal_stdlib>
using namespace metal;

inline uint index_of(int x) {
  const uint y = x;
  return y;
}
