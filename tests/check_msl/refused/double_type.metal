// 6: attempt to use a poisoned identifier
#include <metal_stdlib>
using namespace metal;

inline float half_of(float x) {
  const double y = x;
  return float(y / 2);
}
