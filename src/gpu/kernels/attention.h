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

/// A number of a key or a value as the cache keeps it. One that the type cannot hold becomes NaN and not
/// infinity: an infinite key may get a weight of 0, and nobody would notice. Told from the bits, since
/// compilers may take it that floats are finite.
template <typename KvType>
inline KvType kept(float x) {
  const uint rounded = as_type<uint>(float(KvType(x)));
  const bool is_finite = (rounded & 0x7fffffffu) < 0x7f800000u;
  return KvType(as_type<float>(is_finite ? rounded : 0x7fc00000u));
}

/// Dimensions of a head, of function constants, so that loops over them have a known length.
struct HeadDims {
  uint lane;    // that a lane holds: head_dim / 32
  uint rotary;  // rotary_dim
};

constant constexpr uint kKeyBlock = 32;  // parts of a sequence's keys begin at multiples of it

struct KeyRange {
  uint first;
  uint last;
};

/// The keys of `part`, of `count` in all. Parts are as even as whole blocks allow; late ones may be empty.
inline KeyRange range_of(uint part, uint parts, uint count) {
  const uint blocks = (count + kKeyBlock - 1) / kKeyBlock;
  return {min(blocks * part / parts * kKeyBlock, count), min(blocks * (part + 1) / parts * kKeyBlock, count)};
}

/// (cos, sin) of pair `i` at `position`. low [256, pairs], high [⌈capacity / 256⌉, pairs].
inline float2 rotation(device const float2* low, device const float2* high, uint pairs, uint position,
                       uint i) {
  const float2 a = high[(position / kLowPositions) * pairs + i];
  const float2 b = low[(position % kLowPositions) * pairs + i];
  return float2(a.x * b.x - a.y * b.y, a.y * b.x + a.x * b.y);
}

/// What norm_and_rotate() wants beside its input, as a lane has it of dimensions lane + 32 n. No dispatch of
/// a step writes any of it, so that it may be asked for before the inputs are there.
struct HeadVectors {
  float weights[kMaxLaneDims];
  float other_weights[kMaxLaneDims];  // of the other of a pair
  float2 angles[kMaxLaneDims];
};

/// The other of a dimension's pair; of dimensions that pass, any.
inline uint other_of(HeadDims dims, uint i) {
  const uint pairs = dims.rotary / 2;
  return i >= dims.rotary ? 0 : i < pairs ? i + pairs : i - pairs;
}

inline HeadVectors load_head_vectors(device const float* weight, device const float2* low,
                                     device const float2* high, HeadDims dims, uint position, uint lane) {
  const uint pairs = dims.rotary / 2;
  HeadVectors out;
#pragma unroll
  for (uint n = 0; n < dims.lane; ++n) {
    const uint i = lane + 32 * n;
    out.weights[n] = weight[i];
    if (32 * n >= dims.rotary) continue;
    out.other_weights[n] = weight[other_of(dims, i)];
    out.angles[n] = rotation(low, high, pairs, position, min(i, other_of(dims, i)));
    if (i < pairs) out.angles[n].y = -out.angles[n].y;
  }
  return out;
}

/// RMSNorm with a weight (1 + w) and rotary embedding of one head, by one simdgroup: in [head_dim] → out
/// [head_dim], at most 256. The pair of dimension i is i + rotary_dim / 2; dimensions from rotary_dim on
/// pass. A lane writes out[lane + 32 n] alone.
inline void norm_and_rotate(device const float* in, thread const HeadVectors& vectors, HeadDims dims,
                            float epsilon, uint lane, threadgroup float* out) {
  float x[kMaxLaneDims];  // all that is loaded is asked for before any of it is used
  float y[kMaxLaneDims];  // of the other of a pair
#pragma unroll
  for (uint n = 0; n < dims.lane; ++n) {
    x[n] = in[lane + 32 * n];
    if (32 * n < dims.rotary) y[n] = in[other_of(dims, lane + 32 * n)];
  }
  float squares = 0;
#pragma unroll
  for (uint n = 0; n < dims.lane; ++n) squares += x[n] * x[n];
  const float factor = precise::rsqrt(lattice_simd_sum(squares) / float(dims.lane * 32) + epsilon);
#pragma unroll
  for (uint n = 0; n < dims.lane; ++n) {
    const uint i = lane + 32 * n;
    const float own = x[n] * vectors.weights[n];
    const bool rotates = 32 * n < dims.rotary && i < dims.rotary;
    out[i] =
        (rotates ? own * vectors.angles[n].x + y[n] * vectors.other_weights[n] * vectors.angles[n].y : own) *
        factor;
  }
}

}  // namespace lattice_gpu
