#pragma once

#include <metal_stdlib>

using namespace metal;

namespace lattice_gpu {

/// What gdn_step leaves out of its gated norm, for head `head` of `dim` values: 1/√(mean o² + ε), from
/// squares [heads, parts].
inline float head_factor(device const float* squares, uint head, uint parts, uint dim, float epsilon) {
  float sum = 0;
#pragma unroll
  for (uint i = 0; i < parts; ++i) sum += squares[head * parts + i];
  return precise::rsqrt(sum / float(dim) + epsilon);
}

}  // namespace lattice_gpu
