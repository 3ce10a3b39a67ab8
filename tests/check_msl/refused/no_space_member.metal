// 6: a pointer or reference needs an address space
#include <metal_stdlib>
using namespace metal;

struct Row {
  const float* values;
  uint length;
};
