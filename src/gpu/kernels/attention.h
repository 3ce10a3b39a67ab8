#pragma once

#include <metal_stdlib>

#include "hints.h"
#include "kernel_args.h"

using namespace metal;

namespace lattice_gpu {

/// Rows of the first of the two tables of angles (RotaryTables on the host): the angle of position p is that
/// of its multiple of kLowPositions, plus that of the rest. Both are made in double precision and their sum's
/// sine and cosine follow from theirs, so no trigonometry runs here, and none of it loses range at large
/// positions.
constant constexpr uint kLowPositions = 256;

/// (cos, sin) of pair `i` at `position`. low [256, pairs], high [⌈capacity / 256⌉, pairs].
inline float2 rotation(device const float2* low, device const float2* high, uint pairs, uint position,
                       uint i) {
  const float2 a = high[(position / kLowPositions) * pairs + i];
  const float2 b = low[(position % kLowPositions) * pairs + i];
  return float2(a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y);
}

/// RMSNorm with `weight` (1 + w) and rotary embedding of one head, by one simdgroup: in [head_dim] → out
/// [head_dim]. The pair of dimension i is i + rotary_dim / 2; dimensions from rotary_dim on pass.
inline void norm_and_rotate(device const float* in, device const float* weight, device const float2* low,
                            device const float2* high, constant AttentionArgs& args, uint position, uint lane,
                            threadgroup float* out) {
  float squares = 0;
  for (uint i = lane; i < args.head_dim; i += 32) squares += in[i] * in[i];
  const float factor = precise::rsqrt(lattice_simd_sum(squares) / float(args.head_dim) + args.epsilon);
  const uint pairs = args.rotary_dim / 2;
  for (uint i = lane; i < args.head_dim; i += 32) {
    const float x = in[i] * factor * weight[i];
    if (i >= args.rotary_dim) {
      out[i] = x;
    } else {
      const uint other = i < pairs ? i + pairs : i - pairs;
      const float y = in[other] * factor * weight[other];
      const float2 angle = rotation(low, high, pairs, position, i % pairs);
      out[i] = i < pairs ? x * angle.x - y * angle.y : x * angle.x + y * angle.y;
    }
  }
}

}  // namespace lattice_gpu
