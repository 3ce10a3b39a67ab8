// 5: a pointer or reference that is returned needs an address space
#include <metal_stdlib>
using namespace metal;

float* same(thread float* x) {
  return x;
}
