// 6: attempt to use a poisoned identifier
#include <metal_stdlib>
using namespace metal;

inline float on_the_heap(float x) {
  thread float* y = new float(x);
  return *y;
}
