// The first pass over the logits: penalties, and each slice's likeliest token.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

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

}  // namespace lattice_gpu

/// logits [ids], which become penalised → peaks [slices]; clears histogram [LATTICE_BINS]. seen [ids] says what is
/// known of each id (LATTICE_SEEN_IN_PROMPT). Threadgroups: slices, of SIMDGROUPS · 32 threads.
[[kernel, max_total_threads_per_threadgroup(1024)]] void sample_peaks(
    device float* logits [[buffer(0)]], device const uint* seen [[buffer(1)]],
    device const SamplingArgs& sampling [[buffer(2)]], device Peak* peaks [[buffer(3)]],
    device uint* histogram [[buffer(4)]], constant SliceArgs& args [[buffer(5)]],
    uint slice [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup Peak partial[kMaxSimdgroups];

  lattice_allow_next();
  lattice_wait_for_inputs();
  const uint threads = kSimdgroups * 32;
  if (slice == 0) {
    for (uint i = thread_index; i < LATTICE_BINS; i += threads) histogram[i] = 0;
  }
  const uint last = min((slice + 1) * args.length, sampling.ids);
  Peak peak = {-INFINITY, LATTICE_NO_ID, LATTICE_NO_ID};
  for (uint id = slice * args.length + thread_index; id < last; id += threads) {
    float logit = logits[id];
    if (sampling.penalties != 0) {
      logit = penalised(logit, seen[id], sampling);
      logits[id] = logit;
    }
    if (is_damaged(logit)) {
      peak.damaged = min(peak.damaged, id);
    } else if (logit > peak.logit) {  // ids rise, so that the first of equal ones stays
      peak.logit = logit;
      peak.id = id;
    }
  }
  peak = simd_peak(peak);
  if (lane == 0) partial[simdgroup] = peak;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index == 0) {
    for (uint i = 1; i < kSimdgroups; ++i) keep_likelier(peak, partial[i]);
    peaks[slice] = peak;
  }
}
