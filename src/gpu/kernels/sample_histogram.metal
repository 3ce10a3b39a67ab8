// How far from the likeliest the tokens are: from the histogram follows, to a bin, how far top-k or top-p reaches.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

/// logits [ids] → histogram [LATTICE_BINS], which is added to, and weights [slices]: Σ weight of each slice. A token
/// adds 1 to its bin where top-k is set. Otherwise it adds its weight over that of the bin's beginning, in units of
/// LATTICE_BIN_UNIT and rounded down: integers, so that the order of additions does not show. Threadgroups: slices, of
/// SIMDGROUPS · 32 threads.
[[kernel, max_total_threads_per_threadgroup(1024)]] void sample_histogram(
    device const float* logits [[buffer(0)]], device const SamplingArgs& sampling [[buffer(1)]],
    device const Peak* peaks [[buffer(2)]], device atomic_uint* histogram [[buffer(3)]],
    device float* weights [[buffer(4)]], constant SliceArgs& args [[buffer(5)]],
    uint slice [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup atomic_uint bins[LATTICE_BINS];
  threadgroup float partial[kMaxSimdgroups];

  lattice_allow_next();
  lattice_wait_for_inputs();
  const Peak peak = peak_of(peaks, args.slices, lane);
  if (!can_draw(peak)) return;
  const uint threads = kSimdgroups * 32;
  for (uint i = thread_index; i < LATTICE_BINS; i += threads) {
    atomic_store_explicit(&bins[i], 0, memory_order_relaxed);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const uint last = min((slice + 1) * args.length, sampling.ids);
  float sum = 0;
  for (uint id = slice * args.length + thread_index; id < last; id += threads) {
    const float distance = distance_of(logits[id], peak, sampling);
    const uint bin = bin_of(distance);
    if (bin == LATTICE_BINS) continue;
    sum += weight_at(distance);
    if (!needs_histogram(sampling)) continue;
    const float begin = float(bin) / float(LATTICE_BINS_PER_UNIT);
    const uint share = counts_tokens(sampling) ? 1u : uint(weight_at(distance - begin) * LATTICE_BIN_UNIT);
    atomic_fetch_add_explicit(&bins[bin], share, memory_order_relaxed);
  }
  sum = simd_sum(sum);
  if (lane == 0) partial[simdgroup] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < LATTICE_BINS; i += threads) {
    const uint share = atomic_load_explicit(&bins[i], memory_order_relaxed);
    if (share != 0) atomic_fetch_add_explicit(&histogram[i], share, memory_order_relaxed);
  }
  if (thread_index == 0) {
    float all = 0;
    for (uint i = 0; i < kSimdgroups; ++i) all += partial[i];
    weights[slice] = all;
  }
}
