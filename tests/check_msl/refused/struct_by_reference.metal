// 17: no matching function for call to 'total'
#include <metal_stdlib>
using namespace metal;

struct Pair {
  float a;
  float b;
};

inline float total(thread const Pair& pair) {
  return pair.a + pair.b;
}

kernel void totals(device const Pair* pairs [[buffer(0)]], device float* out [[buffer(1)]],
                   uint i [[thread_position_in_grid]]) {
  const Pair copy = pairs[i];
  out[i] = total(copy) + total(pairs[i]);
}
