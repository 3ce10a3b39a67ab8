// 6: attempt to use a poisoned identifier
#include <metal_stdlib>
using namespace metal;

inline float checked(float x) {
  if (x < 0.0f) throw x;
  return x;
}
