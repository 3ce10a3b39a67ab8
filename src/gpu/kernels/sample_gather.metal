// The candidates: the tokens of every bin down to the one in which top-k or top-p ends. Often a few dozen, and all that
// the last kernel has to look at.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

namespace lattice_gpu {

/// The bin in which the likeliest tokens have become as many as top-k, or as heavy as top-p asks; by one simdgroup.
inline uint last_bin(device const SamplingArgs& sampling, device const uint* histogram,
                     LaneSlices<float> weights, uint lane) {
  constexpr uint kBinsOfLane = LATTICE_BINS / 32;
  uint end = LATTICE_BINS - 1;
  if (needs_histogram(sampling)) {
    const bool counts = counts_tokens(sampling);
    float shares[kBinsOfLane];
    float sum = 0;
#pragma unroll
    for (uint i = 0; i < kBinsOfLane; ++i) {
      const uint bin = lane * kBinsOfLane + i;
      const float unit =
          counts ? 1.0f : weight_at(float(bin) / float(LATTICE_BINS_PER_UNIT)) / LATTICE_BIN_UNIT;
      shares[i] = float(histogram[bin]) * unit;
      sum += shares[i];
    }
    // Weights in bins are rounded down, so the bin found is never too early; the margin is for this sum's own rounding.
    constexpr float kMargin = 1.00001f;
    const float wanted = counts ? float(sampling.top_k)
                                : sampling.top_p * total_weight(weights) * kMargin;
    float before = simd_prefix_exclusive_sum(sum);
    for (uint i = 0; i < kBinsOfLane; ++i) {
      before += shares[i];
      if (before >= wanted) {
        end = lane * kBinsOfLane + i;
        break;
      }
    }
  }
  // Of top-k's tokens top-p needs to know what they weigh, so that those below min-p count then.
  if (sampling.min_p > 0 && !(sampling.top_k != 0 && sampling.top_p < 1.0f)) {
    end = min(end, bin_of(-precise::log(sampling.min_p)) + 1);  // one more, for the logarithm's rounding
  }
  return min(simd_min(end), uint(LATTICE_BINS - 1));
}

}  // namespace lattice_gpu

/// logits [ids] → of every slice found [slices] candidates, by rising id from candidates [slice · length] on.
/// Threadgroups: slices, of LATTICE_SLICE_SPANS · 32 threads.
[[kernel, max_total_threads_per_threadgroup(256)]] void sample_gather(
    device const float* logits [[buffer(0)]], device const SamplingArgs& sampling [[buffer(1)]],
    device const Peak* peaks [[buffer(2)]], device const uint* histogram [[buffer(3)]],
    device const float* weights [[buffer(4)]], device uint* found [[buffer(5)]],
    device Candidate* candidates [[buffer(6)]], constant SliceArgs& args [[buffer(7)]],
    uint slice [[threadgroup_position_in_grid]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup uint counts[LATTICE_SLICE_SPANS];

  lattice_allow_next();
  const Span span = span_of(slice * LATTICE_SLICE_SPANS + simdgroup, sampling, args);
  lattice_wait_for_inputs();
  LaneLogits own = load_logits(logits, span.first, span.last, lane);  // asked for beside the peaks
  const LaneSlices<float> own_weights = load_slices(weights, 0.0f, args.slices, lane);
  const Peak peak = peak_of(load_slices(peaks, no_peak(), args.slices, lane));
  if (!can_draw(peak)) return;
  const uint end = last_bin(sampling, histogram, own_weights, lane);

  // A simdgroup goes over its span twice: to count, and to write behind the spans before.
  uint count = 0;
  for (uint first = span.first; first < span.last; first += kBlockIds) {
    if (first > span.first) own = load_logits(logits, first, span.last, lane);
#pragma unroll
    for (uint n = 0; n < kTogether; ++n) {
      const bool is_there = first + lane + 32 * n < span.last;
      count += is_there && bin_of(distance_of(own.at[n], peak, sampling)) <= end ? 1 : 0;
    }
  }
  count = simd_sum(count);
  if (lane == 0) counts[simdgroup] = count;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  uint at = slice * args.length;
  uint total = 0;
  for (uint i = 0; i < LATTICE_SLICE_SPANS; ++i) {
    if (i < simdgroup) at += counts[i];
    total += counts[i];
  }
  if (simdgroup == 0 && lane == 0) found[slice] = total;
  if (count == 0) return;
  for (uint block = span.first; block < span.last; block += 32) {
    const uint id = block + lane;
    const float logit = id < span.last ? logits[id] : -INFINITY;
    const bool takes = id < span.last && bin_of(distance_of(logit, peak, sampling)) <= end;
    const uint place = simd_prefix_exclusive_sum(takes ? 1u : 0u);
    if (takes) candidates[at + place] = Candidate{logit, id};
    at += simd_sum(takes ? 1u : 0u);
  }
}
