// 6: attempt to use a poisoned identifier
#include <metal_stdlib>
using namespace metal;

inline float larger(float x, float y) {
  return std::max(x, y);
}
