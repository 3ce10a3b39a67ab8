// 6: Metal 3.1 has no lambda expressions
#include <metal_stdlib>
using namespace metal;

inline float twice(float x) {
  const auto f = [](float y) { return 2.0f * y; };
  return f(x);
}
