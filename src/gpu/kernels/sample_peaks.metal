// The first pass over the logits: penalties, and each slice's likeliest token.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

namespace lattice_gpu {

/// The repetition penalty counts prompt and generated tokens, the others generated ones alone (generate/penalties.h).
inline float penalised(float logit, uint seen, device const SamplingArgs& sampling) {
  if (seen == 0 || !is_finite(logit)) return logit;
  float out = logit > 0 ? logit / sampling.repetition : logit * sampling.repetition;
  const uint generated = seen & ~LATTICE_SEEN_IN_PROMPT;
  if (generated != 0) out -= sampling.presence + sampling.frequency * float(generated);
  // A penalty near 0 or infinity must not make a token certain or impossible by overflow alone.
  return clamp(out, -FLT_MAX, FLT_MAX);
}

/// Penalises a lane's logits of ids from `first` on, here and where they came from.
inline void penalise(device float* logits, device const uint* seen, uint first, uint last, uint lane,
                     device const SamplingArgs& sampling, thread LaneLogits& own) {
  uint words[kTogether];
#pragma unroll
  for (uint n = 0; n < kTogether; ++n) {
    const uint id = first + lane + 32 * n;
    words[n] = id < last ? seen[id] : 0;
  }
#pragma unroll
  for (uint n = 0; n < kTogether; ++n) {
    if (words[n] == 0) continue;
    own.at[n] = penalised(own.at[n], words[n], sampling);
    logits[first + lane + 32 * n] = own.at[n];
  }
}

}  // namespace lattice_gpu

/// logits [ids], which become penalised → peaks [slices], and spans [slices · LATTICE_SLICE_SPANS], the largest logit of
/// each; clears histogram [LATTICE_BINS]. seen [ids] says what is known of each id (LATTICE_SEEN_IN_PROMPT).
/// Threadgroups: slices, of LATTICE_SLICE_SPANS · 32 threads.
[[kernel, max_total_threads_per_threadgroup(256)]] void sample_peaks(
    device float* logits [[buffer(0)]], device const uint* seen [[buffer(1)]],
    device const SamplingArgs& sampling [[buffer(2)]], device Peak* peaks [[buffer(3)]],
    device float* spans [[buffer(4)]], device uint* histogram [[buffer(5)]], constant SliceArgs& args [[buffer(6)]],
    uint slice [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup Peak partial[LATTICE_SLICE_SPANS];

  lattice_allow_next();
  const bool penalises = sampling.penalties != 0;
  const uint place = slice * LATTICE_SLICE_SPANS + simdgroup;
  const Span span = span_of(place, sampling, args);
  lattice_wait_for_inputs();
  if (slice == 0) {
    for (uint i = thread_index; i < LATTICE_BINS; i += LATTICE_SLICE_SPANS * 32) histogram[i] = 0;
  }
  Peak peak = no_peak();
  for (uint first = span.first; first < span.last; first += kBlockIds) {
    LaneLogits own = load_logits(logits, first, span.last, lane);
    if (penalises) penalise(logits, seen, first, span.last, lane, sampling, own);
#pragma unroll
    for (uint n = 0; n < kTogether; ++n) {
      const uint id = first + lane + 32 * n;
      if (is_damaged(own.at[n])) {
        peak.damaged = min(peak.damaged, id);
      } else if (own.at[n] > peak.logit) {  // ids rise, so that the first of equal ones stays
        peak.logit = own.at[n];
        peak.id = id;
      }
    }
  }
  peak = simd_peak(peak);
  if (lane == 0) {
    partial[simdgroup] = peak;
    spans[place] = peak.logit;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index == 0) {
    for (uint i = 1; i < LATTICE_SLICE_SPANS; ++i) keep_likelier(peak, partial[i]);
    peaks[slice] = peak;
  }
}
