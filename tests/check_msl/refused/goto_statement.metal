// 7: attempt to use a poisoned identifier
#include <metal_stdlib>
using namespace metal;

inline float loops(float x) {
again:
  if (x < 1.0f) goto again;
  return x;
}
