// 6: variable length arrays
#include <metal_stdlib>
using namespace metal;

inline float last(uint n) {
  float x[n];
  x[n - 1] = 1.0f;
  return x[n - 1];
}
