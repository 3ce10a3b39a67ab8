// 5: a pointer or reference among the parameters needs an address space
#include <metal_stdlib>
using namespace metal;

inline float first_of(const float* x) {
  return x[0];
}
