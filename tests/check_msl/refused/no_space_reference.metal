// 5: a pointer or reference among the parameters needs an address space
#include <metal_stdlib>
using namespace metal;

inline void twice(float& x) {
  x *= 2.0f;
}
