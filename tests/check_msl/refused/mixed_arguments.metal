// 6: no matching function for call to 'min'
#include <metal_stdlib>
using namespace metal;

inline uint bounded(uint x) {
  return min(x, 4);
}
