// How far from the likeliest the tokens are: from the histogram follows, to a bin, how far top-k or top-p reaches.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

/// logits [ids] → histogram [LATTICE_BINS], which is added to, and weights [slices]: Σ weight of each slice. A token
/// adds 1 to its bin where top-k is set. Otherwise it adds its weight over that of the bin's beginning, in units of
/// LATTICE_BIN_UNIT and rounded down: integers, so that the order of additions does not show. Threadgroups: slices, of
/// LATTICE_SLICE_SPANS · 32 threads.
[[kernel, max_total_threads_per_threadgroup(256)]] void sample_histogram(
    device const float* logits [[buffer(0)]], device const SamplingArgs& sampling [[buffer(1)]],
    device const Peak* peaks [[buffer(2)]], device atomic_uint* histogram [[buffer(3)]],
    device float* weights [[buffer(4)]], constant SliceArgs& args [[buffer(5)]],
    uint slice [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup atomic_uint bins[LATTICE_BINS];
  threadgroup float partial[LATTICE_SLICE_SPANS];

  lattice_allow_next();
  constexpr uint kThreads = LATTICE_SLICE_SPANS * 32;
  for (uint i = thread_index; i < LATTICE_BINS; i += kThreads) {
    atomic_store_explicit(&bins[i], 0, memory_order_relaxed);
  }
  const Span span = span_of(slice * LATTICE_SLICE_SPANS + simdgroup, sampling, args);
  lattice_wait_for_inputs();
  LaneLogits own = load_logits(logits, span.first, span.last, lane);  // asked for beside the peaks
  const Peak peak = peak_of(load_slices(peaks, no_peak(), args.slices, lane));
  if (!can_draw(peak)) return;
  threadgroup_barrier(mem_flags::mem_threadgroup);

  float sum = 0;
  for (uint first = span.first; first < span.last; first += kBlockIds) {
    if (first > span.first) own = load_logits(logits, first, span.last, lane);
#pragma unroll
    for (uint n = 0; n < kTogether; ++n) {
      const float distance = distance_of(own.at[n], peak, sampling);
      const uint bin = first + lane + 32 * n < span.last ? bin_of(distance) : LATTICE_BINS;
      if (bin == LATTICE_BINS) continue;
      sum += weight_at(distance);
      if (!needs_histogram(sampling)) continue;
      const float begin = float(bin) / float(LATTICE_BINS_PER_UNIT);
      const uint share = counts_tokens(sampling) ? 1u : uint(weight_at(distance - begin) * LATTICE_BIN_UNIT);
      atomic_fetch_add_explicit(&bins[bin], share, memory_order_relaxed);
    }
  }
  sum = simd_sum(sum);
  if (lane == 0) partial[simdgroup] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < LATTICE_BINS; i += kThreads) {
    const uint share = atomic_load_explicit(&bins[i], memory_order_relaxed);
    if (share != 0) atomic_fetch_add_explicit(&histogram[i], share, memory_order_relaxed);
  }
  if (thread_index == 0) {
    float all = 0;
    for (uint i = 0; i < LATTICE_SLICE_SPANS; ++i) all += partial[i];
    weights[slice] = all;
  }
}
