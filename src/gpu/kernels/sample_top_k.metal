// The draw where top-k is small, in one go: most tokens are out of the question before anybody has counted them.
//
// Of the slices' peaks each is another token, so that the k-th of them bounds the k-th likeliest token from below
// (generate/sampler.cpp has the same bound, of columns), and hardly more than k tokens reach it. They lie in the spans whose
// largest logit does: a few thousand ids, which one threadgroup reads at once. Among what it finds every thread goes through
// all that the filters ask of one token.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

constant constexpr uint kMostSpans = LATTICE_MOST_SLICES * LATTICE_SLICE_SPANS;
constant constexpr uint kSimdgroups = kMostSpans / 32;  // a thread for each span
constant constexpr uint kMostCandidates = 256;
constant constexpr uint kLeastOrder = 0x00800000;  // order_of() of the least finite logit

namespace lattice_gpu {

/// Candidates, and what is known of each.
struct Candidates {
  float logit[kMostCandidates];
  uint id[kMostCandidates];
  float weight[kMostCandidates];
};

/// The order of the k-th likeliest of the slices' peaks, by a thread for each slice: tops [LATTICE_MOST_SLICES] are the peaks'
/// orders, 0 where there is none. Who has it writes `bound`, which is kLeastOrder before.
inline void find_bound(uint slice, uint k, threadgroup const uint* tops, threadgroup uint& bound) {
  const uint own = tops[slice];
  uint rank = 0;
#pragma unroll 8
  for (uint i = 0; i < LATTICE_MOST_SLICES; ++i) {
    const uint other = tops[i];
    rank += other > own || (other == own && i < slice) ? 1 : 0;
  }
  if (rank + 1 == k) bound = max(own, kLeastOrder);
}

/// Takes a span's tokens that reach `bound` among the candidates, in no order, as long as there is room; by one simdgroup. `count`
/// counts those as well for which there is none.
inline void take_span(device const float* logits, Span span, uint bound, uint lane, threadgroup atomic_uint& count,
                      threadgroup Candidates& found) {
  for (uint first = span.first; first < span.last; first += kBlockIds) {
    const LaneLogits own = load_logits(logits, first, span.last, lane);
#pragma unroll
    for (uint n = 0; n < kTogether; ++n) {
      if (order_of(own.at[n]) < bound) continue;
      const uint at = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
      if (at >= kMostCandidates) continue;
      found.logit[at] = own.at[n];
      found.id[at] = first + lane + 32 * n;
    }
  }
}

/// Whether a token comes behind `last` in the order of likeliness.
inline bool is_behind(float logit, uint id, Peak last) {
  const uint order = order_of(logit);
  const uint last_order = order_of(last.logit);
  return order < last_order || (order == last_order && id > last.id);
}

/// The k likeliest tokens, or all that are possible, one after the other: where more than there is room for reach the bound, as they are
/// equal or nearly so. `partial` [kSimdgroups] is where simdgroups meet. Returns how many they are. All threads call it.
inline uint take_in_turn(device const float* logits, uint ids, uint k, uint thread_index, uint simdgroup, uint lane,
                         threadgroup Peak* partial, threadgroup Candidates& found) {
  Peak last = {INFINITY, 0, LATTICE_NO_ID};
  for (uint taken = 0; taken < k; ++taken) {
    Peak peak = no_peak();
    for (uint first = simdgroup * kBlockIds; first < ids; first += kSimdgroups * kBlockIds) {
      const LaneLogits own = load_logits(logits, first, ids, lane);
#pragma unroll
      for (uint n = 0; n < kTogether; ++n) {
        const uint id = first + lane + 32 * n;
        if (own.at[n] > peak.logit && is_behind(own.at[n], id, last)) peak = Peak{own.at[n], id, LATTICE_NO_ID};
      }
    }
    peak = simd_peak(peak);
    threadgroup_barrier(mem_flags::mem_threadgroup);  // what was met before has been read
    if (lane == 0) partial[simdgroup] = peak;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = 0; i < kSimdgroups; ++i) keep_likelier(peak, partial[i]);
    if (peak.id == LATTICE_NO_ID) return taken;
    if (thread_index == 0) {
      found.logit[taken] = peak.logit;
      found.id[taken] = peak.id;
    }
    last = peak;
  }
  return k;
}

}  // namespace lattice_gpu

/// logits [ids], peaks [slices] and spans [slices · LATTICE_SLICE_SPANS] → the step's token, ring [args.drawn] and seen [ids]. top_k is
/// from 1 to kMostCandidates; above `slices` nothing bounds the tokens, which is slow. One threadgroup of kMostSpans threads.
[[kernel, max_total_threads_per_threadgroup(1024)]] void sample_top_k(
    device StepState& step [[buffer(0)]], device const float* logits [[buffer(1)]], device uint* seen [[buffer(2)]],
    device DrawnToken* ring [[buffer(3)]], device const SamplingArgs& sampling [[buffer(4)]],
    device const Peak* peaks [[buffer(5)]], device const float* spans [[buffer(6)]], constant SliceArgs& args [[buffer(7)]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup uint tops[LATTICE_MOST_SLICES];
  threadgroup uint bound;
  threadgroup uint hopeful[kMostSpans];  // spans in which a token reaches the bound
  threadgroup atomic_uint hopeful_count;
  threadgroup atomic_uint found_count;
  threadgroup Candidates found;       // in the order in which they were found
  threadgroup Candidates candidates;  // by id
  threadgroup float in_top_k[kMostCandidates];  // the weight of what top-k keeps, and 0
  threadgroup float kept[kMostCandidates];      // of what all filters keep
  threadgroup Peak partial[kSimdgroups];

  lattice_allow_next();
  if (thread_index == 0) {
    atomic_store_explicit(&hopeful_count, 0, memory_order_relaxed);
    atomic_store_explicit(&found_count, 0, memory_order_relaxed);
    bound = kLeastOrder;
  }
  const uint k = sampling.top_k;
  const float top_p = sampling.top_p;
  const float min_p = sampling.min_p;
  lattice_wait_for_inputs();
  const LaneSlices<Peak> own_peaks = load_slices(peaks, no_peak(), args.slices, lane);
  const float span_top = thread_index < args.slices * LATTICE_SLICE_SPANS ? spans[thread_index] : -INFINITY;
  const float random = uniform_at(sampling.seed_low, sampling.seed_high, uint(step.position) + 1);
  if (simdgroup == 0) {
#pragma unroll
    for (uint n = 0; n < kLaneSlices; ++n) {
      const Peak peak = own_peaks.at[n];
      tops[lane + 32 * n] = peak.id == LATTICE_NO_ID ? 0 : order_of(peak.logit);
    }
  }
  const Peak peak = peak_of(own_peaks);
  if (!can_draw(peak)) {
    threadgroup_barrier(mem_flags::mem_device);  // all have read the position
    if (thread_index == 0) leave_token(no_token(peak, logits), step, seen, ring, sampling, args);
    return;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index < LATTICE_MOST_SLICES) find_bound(thread_index, k, tops, bound);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (order_of(span_top) >= bound) {
    hopeful[atomic_fetch_add_explicit(&hopeful_count, 1, memory_order_relaxed)] = thread_index;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const uint hopes = atomic_load_explicit(&hopeful_count, memory_order_relaxed);
  for (uint i = simdgroup; i < hopes; i += kSimdgroups) {
    take_span(logits, span_of(hopeful[i], sampling, args), bound, lane, found_count, found);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  uint count = atomic_load_explicit(&found_count, memory_order_relaxed);
  if (count > kMostCandidates) {
    count = take_in_turn(logits, sampling.ids, k, thread_index, simdgroup, lane, partial, found);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  // From here on a thread has a candidate. Sums go by id, so that they are the same in every run.
  const uint i = thread_index;
  if (i < count) {
    const uint id = found.id[i];
    uint place = 0;
    for (uint j = 0; j < count; ++j) place += found.id[j] < id ? 1 : 0;
    candidates.logit[place] = found.logit[i];
    candidates.id[place] = id;
    candidates.weight[place] = weight_at(distance_of(found.logit[i], peak, sampling));
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float before = 0;  // what the likelier ones weigh
  if (i < count) {
    const float logit = candidates.logit[i];
    uint rank = 0;
    for (uint j = 0; j < count; ++j) {
      const bool is_likelier = candidates.logit[j] > logit || (candidates.logit[j] == logit && j < i);
      rank += is_likelier ? 1 : 0;
      before += is_likelier ? candidates.weight[j] : 0.0f;
    }
    in_top_k[i] = rank < k ? candidates.weight[i] : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i < count) {
    float total = 0;
    for (uint j = 0; j < count; ++j) total += in_top_k[j];
    const bool keeps = (top_p == 1.0f || before < top_p * total) && in_top_k[i] >= min_p;
    kept[i] = keeps ? in_top_k[i] : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);  // all have read the position
  if (i >= count) return;
  float total = 0;
  float reached = 0;  // before this candidate
  uint heaviest = 0;  // the last that has any weight
  for (uint j = 0; j < count; ++j) {
    if (j == i) reached = total;
    if (kept[j] > 0) heaviest = j;
    total += kept[j];
  }
  const float wanted = random * total;
  const bool is_drawn = reached <= wanted && reached + kept[i] > wanted;
  // Where rounding took the random part to the last sum, the last candidate it is.
  if (!is_drawn && !(wanted >= total && i == heaviest)) return;
  leave_token(DrawnToken{int(candidates.id[i]), candidates.logit[i]}, step, seen, ring, sampling, args);
}
