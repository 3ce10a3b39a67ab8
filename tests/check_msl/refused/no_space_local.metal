// 7: a pointer or reference needs an address space
#include <metal_stdlib>
using namespace metal;

inline float second_of(float a, float b) {
  const float both[2] = {a, b};
  const float* second = both + 1;
  return *second;
}
