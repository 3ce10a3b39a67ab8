// 6: threadgroup variables stand in kernels alone
#include <metal_stdlib>
using namespace metal;

inline float sums(float x, uint i) {
  threadgroup float memory[32];
  memory[i] = x;
  return memory[0];
}
