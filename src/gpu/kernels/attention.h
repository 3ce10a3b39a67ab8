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
constant constexpr uint kMaxHeadDim = 256;
constant constexpr uint kMaxLaneDims = kMaxHeadDim / 32;

/// (cos, sin) of pair `i` at `position`. low [256, pairs], high [⌈capacity / 256⌉, pairs].
inline float2 rotation(device const float2* low, device const float2* high, uint pairs, uint position,
                       uint i) {
  const float2 a = high[(position / kLowPositions) * pairs + i];
  const float2 b = low[(position % kLowPositions) * pairs + i];
  return float2(a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y);
}

/// RMSNorm with `weight` (1 + w) and rotary embedding of one head, by one simdgroup: in [head_dim] → out
/// [head_dim], at most 256. The pair of dimension i is i + rotary_dim / 2; dimensions from rotary_dim on
/// pass.
inline void norm_and_rotate(device const float* in, device const float* weight, device const float2* low,
                            device const float2* high, constant AttentionArgs& args, uint position, uint lane,
                            threadgroup float* out) {
  float x[kMaxLaneDims];  // asked for together with what is multiplied with it
  float y[kMaxLaneDims];
  float squares = 0;
  const uint pairs = args.rotary_dim / 2;
#pragma unroll
  for (uint n = 0; n < kMaxLaneDims; ++n) {
    const uint i = lane + 32 * n;
    x[n] = 0;
    y[n] = 0;
    if (i >= args.head_dim) continue;
    const float value = in[i];
    x[n] = value * weight[i];
    squares += value * value;
    if (i < args.rotary_dim) {
      const uint other = i < pairs ? i + pairs : i - pairs;
      y[n] = in[other] * weight[other];
    }
  }
  const float factor = precise::rsqrt(lattice_simd_sum(squares) / float(args.head_dim) + args.epsilon);
#pragma unroll
  for (uint n = 0; n < kMaxLaneDims; ++n) {
    const uint i = lane + 32 * n;
    if (i >= args.head_dim) continue;
    if (i >= args.rotary_dim) {
      out[i] = x[n] * factor;
    } else {
      const float2 angle = rotation(low, high, pairs, position, i % pairs);
      out[i] = (i < pairs ? x[n] * angle.x - y[n] * angle.y : x[n] * angle.x + y[n] * angle.y) * factor;
    }
  }
}

/// Asks for what norm_and_rotate() reads beside its input.
inline void prefetch_head_vectors(device const float* q_weight, device const float* k_weight,
                                  device const float2* low, device const float2* high,
                                  constant AttentionArgs& args, uint position) {
  lattice_prefetch(q_weight, args.head_dim * 4);
  lattice_prefetch(k_weight, args.head_dim * 4);
  const uint pairs = args.rotary_dim / 2;
  if (pairs % 2 != 0) return;  // rows of the tables do not begin at multiples of 16 bytes
  lattice_prefetch(low + (position % kLowPositions) * pairs, pairs * 8);
  lattice_prefetch(high + (position / kLowPositions) * pairs, pairs * 8);
}

}  // namespace lattice_gpu
