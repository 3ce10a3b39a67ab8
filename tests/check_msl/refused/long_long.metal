// 5: Metal has no long long: its long has 64 bits
#include <metal_stdlib>
using namespace metal;

inline long long wide(int x) {
  return x;
}
