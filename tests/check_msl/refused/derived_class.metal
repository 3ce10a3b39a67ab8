// 8: Metal has no derived classes
#include <metal_stdlib>
using namespace metal;

struct Base {
  uint a;
};
struct More : Base {
  uint b;
};
