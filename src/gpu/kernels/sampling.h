#pragma once

#include <metal_stdlib>

#include "hints.h"
#include "kernel_args.h"

using namespace metal;

// What the sampling kernels share. They do what the host's Sampler does (generate/sampler.h): penalties,
// temperature, top-k, top-p, min-p, in that order, ties to the lower id, the same random number at the same
// position.

namespace lattice_gpu {

constant constexpr uint kMaxSimdgroups = 32;

/// Whether a logit is +∞ or no number, told from its bits: compilers may take it that floats are finite.
inline bool is_damaged(float x) {
  const uint bits = as_type<uint>(x);
  return bits == 0x7f800000u || (bits & 0x7fffffffu) > 0x7f800000u;
}

inline bool is_finite(float x) {
  return (as_type<uint>(x) & 0x7f800000u) != 0x7f800000u;
}

/// An order of unsigned integers for logits: larger for larger ones, equal for −0 and 0.
inline uint order_of(float x) {
  uint bits = as_type<uint>(x);
  if (bits == 0x80000000u) bits = 0;
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

/// The likelier of two peaks of a simdgroup's lanes, in every lane.
inline Peak simd_peak(Peak peak) {
  const uint largest = simd_max(order_of(peak.logit));
  const uint id = simd_min(order_of(peak.logit) == largest ? peak.id : LATTICE_NO_ID);
  // The lanes' largest logit itself, from the lane that has it: −0 and 0 differ in their bits alone.
  const float logit = simd_max(order_of(peak.logit) == largest ? peak.logit : -INFINITY);
  return {logit, id, simd_min(peak.damaged)};
}

inline void keep_likelier(thread Peak& peak, Peak other) {
  if (other.logit > peak.logit || (other.logit == peak.logit && other.id < peak.id)) {
    peak.logit = other.logit;
    peak.id = other.id;
  }
  peak.damaged = min(peak.damaged, other.damaged);
}

inline Peak no_peak() {
  return {-INFINITY, LATTICE_NO_ID, LATTICE_NO_ID};
}

constant constexpr uint kLaneSlices = LATTICE_MOST_SLICES / 32;

/// What there is of slices lane, lane + 32, …, asked for together.
template <typename T>
struct LaneSlices {
  T at[kLaneSlices];
};
template <typename T>
inline LaneSlices<T> load_slices(device const T* values, T missing, uint slices, uint lane) {
  LaneSlices<T> out;
#pragma unroll
  for (uint n = 0; n < kLaneSlices; ++n) {
    out.at[n] = missing;
    if (lane + 32 * n < slices) out.at[n] = values[lane + 32 * n];
  }
  return out;
}

/// The peak of all slices, in every lane of the calling simdgroup.
inline Peak peak_of(LaneSlices<Peak> peaks) {
  Peak peak = peaks.at[0];
#pragma unroll
  for (uint n = 1; n < kLaneSlices; ++n) keep_likelier(peak, peaks.at[n]);
  return simd_peak(peak);
}

constant constexpr uint kTogether = 8;
constant constexpr uint kBlockIds = 32 * kTogether;

/// Logits of ids first + lane, first + lane + 32, …, up to kBlockIds of a simdgroup, asked for together: they
/// come from a cache that the device shares, and one behind the other each would be a wait of its own.
/// -INFINITY from `last` on.
struct LaneLogits {
  float at[kTogether];
};
inline LaneLogits load_logits(device const float* logits, uint first, uint last, uint lane) {
  LaneLogits out;
#pragma unroll
  for (uint n = 0; n < kTogether; ++n) {
    const uint id = first + lane + 32 * n;
    out.at[n] = id < last ? logits[id] : -INFINITY;
  }
  return out;
}

/// Ids of a span of a slice, for whose simdgroup each is.
struct Span {
  uint first;
  uint last;
};
inline Span span_of(uint span, device const SamplingArgs& sampling, constant SliceArgs& args) {
  const uint length = args.length / LATTICE_SLICE_SPANS;
  return {min(span * length, sampling.ids), min((span + 1) * length, sampling.ids)};
}

inline bool can_draw(Peak peak) {
  return peak.damaged == LATTICE_NO_ID && peak.id != LATTICE_NO_ID;
}

/// A candidate's distance from the likeliest, in units of its weight's logarithm.
inline float distance_of(float logit, Peak peak, device const SamplingArgs& sampling) {
  return (peak.logit - logit) / sampling.temperature;
}
/// Its bin of the histogram, or LATTICE_BINS: too light to matter.
inline uint bin_of(float distance) {
  const float scaled = distance * float(LATTICE_BINS_PER_UNIT);
  return scaled < float(LATTICE_BINS) ? uint(scaled) : LATTICE_BINS;
}
/// Its probability over that of the likeliest.
inline float weight_at(float distance) {
  return precise::exp(-distance);
}

/// Whether the histogram counts tokens, for top-k, or adds up weights, for top-p alone.
inline bool counts_tokens(device const SamplingArgs& sampling) {
  return sampling.top_k != 0;
}
inline bool needs_histogram(device const SamplingArgs& sampling) {
  return sampling.top_k != 0 || sampling.top_p < 1.0f;
}

/// Σ of the slices' weights, in every lane of the calling simdgroup.
inline float total_weight(LaneSlices<float> weights) {
  float sum = weights.at[0];
#pragma unroll
  for (uint n = 1; n < kLaneSlices; ++n) sum += weights.at[n];
  return simd_sum(sum);
}

/// Philox4x32-10 (generate/philox.h): the first word for this position of the seed's stream, as a number in
/// [0, 1].
inline float uniform_at(uint seed_low, uint seed_high, uint position) {
  uint4 counter = uint4(position, 0, 0, 0);
  uint2 key = uint2(seed_low, seed_high);
  for (uint round = 0; round < 10; ++round) {
    counter = uint4(mulhi(0xcd9e8d57u, counter.z) ^ counter.y ^ key.x, 0xcd9e8d57u * counter.z,
                    mulhi(0xd2511f53u, counter.x) ^ counter.w ^ key.y, 0xd2511f53u * counter.x);
    key += uint2(0x9e3779b9u, 0xbb67ae85u);
  }
  constexpr float kUnit = 1.0f / 4294967296.0f;
  return float(counter.x) * kUnit;
}

/// A step's end, by one thread: the token is left for the next step and for the host, and counted.
inline void leave_token(DrawnToken drawn, device StepState& step, device uint* seen, device DrawnToken* ring,
                        device const SamplingArgs& sampling, constant SliceArgs& args) {
  ring[uint(step.position) % args.drawn] = drawn;
  step.position += 1;
  if (drawn.token < 0) return;
  step.token = drawn.token;
  if (sampling.penalties != 0) seen[drawn.token] += 1;
}

/// What is left where no token can be drawn.
inline DrawnToken no_token(Peak peak, device const float* logits) {
  if (peak.damaged != LATTICE_NO_ID) return {~int(peak.damaged), logits[peak.damaged]};
  return {~0, -INFINITY};
}

}  // namespace lattice_gpu
