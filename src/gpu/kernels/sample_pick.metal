// The draw: top-k, top-p and min-p among the candidates, and a token by a random number.
//
// All three filters keep the likeliest tokens down to some last one, the cut. Up to kMaxRanked candidates, every thread
// counts for some of them how many are likelier, and how heavy those are together: that decides top-k and top-p with
// nothing sorted. Of more, the cut is found by bisection.

#include <metal_stdlib>

#include "kernel_args.h"
#include "sampling.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

constant constexpr uint kMaxRanked = 1024;

namespace lattice_gpu {

/// The last token that is kept, in the order of likeliness: by order_of() its logit, by id among equal ones.
struct Cut {
  uint order;
  uint id;
};

inline bool keeps(Cut cut, Candidate candidate) {
  const uint order = order_of(candidate.logit);
  return order > cut.order || (order == cut.order && candidate.id <= cut.id);
}

/// Where a thread stands in its threadgroup, and memory in which the threads meet.
struct Team {
  uint thread_index;
  uint simdgroup;
  uint lane;
  threadgroup float* sums;  // [SIMDGROUPS]
};

/// Σ of every thread's value, in the same order at every run. All threads call it.
inline float team_sum(float value, Team team) {
  const float sum = simd_sum(value);
  threadgroup_barrier(mem_flags::mem_threadgroup);  // what was read of an earlier sum has been read
  if (team.lane == 0) team.sums[team.simdgroup] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float total = 0;
  for (uint i = 0; i < kSimdgroups; ++i) total += team.sums[i];
  return total;
}

/// Candidate i of all, by rising id. offsets [slices + 1]: candidates before each slice.
inline Candidate candidate_at(uint i, device const Candidate* candidates, threadgroup const uint* offsets,
                              constant SliceArgs& args) {
  uint slice = 0;
  uint end = args.slices;  // offsets[slice] ≤ i < offsets[end]
  while (end - slice > 1) {
    const uint middle = (slice + end) / 2;
    if (offsets[middle] <= i) {
      slice = middle;
    } else {
      end = middle;
    }
  }
  return candidates[slice * args.length + i - offsets[slice]];
}

/// What the filters need to know of the draw.
struct Draw {
  Peak peak;
  float all;   // the weight of all tokens
  uint count;  // of candidates
};

inline float weight_of(Candidate candidate, Peak peak, device const SamplingArgs& sampling) {
  return weight_at(distance_of(candidate.logit, peak, sampling));
}

/// A candidate among few.
struct Ranked {
  Candidate candidate;
  float weight;
  uint rank;     // how many are likelier
  float before;  // what those weigh
};

/// Counts and weighs what is likelier than candidate i.
inline void rank_candidate(uint i, uint count, threadgroup Ranked* ranked) {
  constexpr uint kRun = 32;  // summed apart, to round less
  const float logit = ranked[i].candidate.logit;
  uint place = 0;
  float before = 0;
  for (uint first = 0; first < count; first += kRun) {
    float run = 0;
    const uint last = min(first + kRun, count);
    for (uint j = first; j < last; ++j) {
      const float other = ranked[j].candidate.logit;
      const bool is_likelier = other > logit || (other == logit && j < i);
      place += is_likelier ? 1 : 0;
      run += is_likelier ? ranked[j].weight : 0.0f;
    }
    before += run;
  }
  ranked[i].rank = place;
  ranked[i].before = before;
}

/// The cut by top-k and top-p of at most kMaxRanked candidates. `last_rank` and `cut` are the threads' meeting places.
inline Cut cut_by_rank(Draw draw, device const Candidate* candidates, threadgroup const uint* offsets,
                       threadgroup Ranked* ranked, threadgroup atomic_uint& last_rank, threadgroup Cut& cut,
                       device const SamplingArgs& sampling, constant SliceArgs& args, Team team) {
  const uint threads = kSimdgroups * 32;
  for (uint i = team.thread_index; i < draw.count; i += threads) {
    ranked[i].candidate = candidate_at(i, candidates, offsets, args);
    ranked[i].weight = weight_of(ranked[i].candidate, draw.peak, sampling);
  }
  if (team.thread_index == 0) atomic_store_explicit(&last_rank, 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const uint top_k = sampling.top_k != 0 ? sampling.top_k : draw.count;
  float in_top_k = 0;
  for (uint i = team.thread_index; i < draw.count; i += threads) {
    rank_candidate(i, draw.count, ranked);
    if (ranked[i].rank < top_k) in_top_k += ranked[i].weight;
  }
  const float total = sampling.top_k != 0 ? team_sum(in_top_k, team) : draw.all;
  const float wanted = sampling.top_p < 1.0f ? sampling.top_p * total : INFINITY;
  for (uint i = team.thread_index; i < draw.count; i += threads) {
    if (ranked[i].rank < top_k && ranked[i].before < wanted) {
      atomic_fetch_max_explicit(&last_rank, ranked[i].rank, memory_order_relaxed);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const uint last = atomic_load_explicit(&last_rank, memory_order_relaxed);
  for (uint i = team.thread_index; i < draw.count; i += threads) {
    if (ranked[i].rank == last) cut = Cut{order_of(ranked[i].candidate.logit), ranked[i].candidate.id};
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return cut;
}

/// What the candidates down to `cut` weigh, or how many they are.
inline float measure(Cut cut, bool counts, Draw draw, device const Candidate* candidates,
                     threadgroup const uint* offsets, device const SamplingArgs& sampling, constant SliceArgs& args,
                     Team team) {
  float sum = 0;
  for (uint i = team.thread_index; i < draw.count; i += kSimdgroups * 32) {
    const Candidate candidate = candidate_at(i, candidates, offsets, args);
    if (keeps(cut, candidate)) sum += counts ? 1.0f : weight_of(candidate, draw.peak, sampling);
  }
  return team_sum(sum, team);
}

/// The earliest cut down to which the candidates measure at least `wanted`: first its logit, then, among the tokens
/// that have it, its id. Sums of the same tree with more terms are never smaller, so that the bisection is sound in
/// floats.
inline Cut bisect(float wanted, bool counts, Draw draw, device const Candidate* candidates,
                  threadgroup const uint* offsets, device const SamplingArgs& sampling, constant SliceArgs& args,
                  Team team) {
  Cut low = {0, LATTICE_NO_ID};  // measures enough, or there is no more
  uint high = order_of(draw.peak.logit);
  while (low.order < high) {
    const uint middle = low.order + (high - low.order + 1) / 2;
    const Cut cut = {middle, LATTICE_NO_ID};
    if (measure(cut, counts, draw, candidates, offsets, sampling, args, team) >= wanted) {
      low.order = middle;
    } else {
      high = middle - 1;
    }
  }
  uint first = 0;
  uint last = sampling.ids - 1;
  while (first < last) {
    const uint middle = (first + last) / 2;
    const Cut cut = {low.order, middle};
    if (measure(cut, counts, draw, candidates, offsets, sampling, args, team) >= wanted) {
      last = middle;
    } else {
      first = middle + 1;
    }
  }
  return {low.order, first};
}

inline Cut cut_by_bisection(Draw draw, device const Candidate* candidates, threadgroup const uint* offsets,
                            device const SamplingArgs& sampling, constant SliceArgs& args, Team team) {
  Cut cut = {0, LATTICE_NO_ID};
  float total = draw.all;
  if (sampling.top_k != 0) {
    cut = bisect(float(sampling.top_k), true, draw, candidates, offsets, sampling, args, team);
    total = measure(cut, false, draw, candidates, offsets, sampling, args, team);
  }
  if (sampling.top_p < 1.0f) {
    cut = bisect(sampling.top_p * total, false, draw, candidates, offsets, sampling, args, team);
  }
  return cut;
}

/// A candidate's weight, or 0 where a filter drops it.
inline float kept_weight(uint i, Cut cut, Draw draw, device const Candidate* candidates, threadgroup const uint* offsets,
                         device const SamplingArgs& sampling, constant SliceArgs& args) {
  const Candidate candidate = candidate_at(i, candidates, offsets, args);
  const float weight = weight_of(candidate, draw.peak, sampling);
  return keeps(cut, candidate) && weight >= sampling.min_p ? weight : 0.0f;
}

}  // namespace lattice_gpu

/// candidates of every slice, found [slices] of each → the step's token, ring [args.drawn] and seen [ids]. weights
/// [slices] are those of all tokens. One threadgroup of SIMDGROUPS · 32 threads; at most LATTICE_MOST_SLICES slices.
[[kernel, max_total_threads_per_threadgroup(1024)]] void sample_pick(
    device StepState& step [[buffer(0)]], device const float* logits [[buffer(1)]], device uint* seen [[buffer(2)]],
    device DrawnToken* ring [[buffer(3)]], device const SamplingArgs& sampling [[buffer(4)]],
    device const Peak* peaks [[buffer(5)]], device const float* weights [[buffer(6)]],
    device const uint* found [[buffer(7)]], device const Candidate* candidates [[buffer(8)]],
    constant SliceArgs& args [[buffer(9)]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup uint offsets[LATTICE_MOST_SLICES + 1];
  threadgroup float sums[kMaxSimdgroups];
  threadgroup Ranked ranked[kMaxRanked];
  threadgroup atomic_uint last_rank;
  threadgroup Cut shared_cut;
  threadgroup atomic_uint winner;    // the first candidate at which the weights add up to the random part
  threadgroup atomic_uint heaviest;  // one more than the last candidate that has any weight

  lattice_allow_next();
  lattice_wait_for_inputs();
  const Team team = {thread_index, simdgroup, lane, sums};
  Draw draw;
  const LaneSlices<Peak> own_peaks = load_slices(peaks, no_peak(), args.slices, lane);
  const LaneSlices<float> own_weights = load_slices(weights, 0.0f, args.slices, lane);
  const LaneSlices<uint> own_found = load_slices(found, 0u, args.slices, lane);
  draw.peak = peak_of(own_peaks);
  if (!can_draw(draw.peak)) {
    if (thread_index == 0) leave_token(no_token(draw.peak, logits), step, seen, ring, sampling, args);
    return;
  }
  draw.all = total_weight(own_weights);
  if (simdgroup == 0) {
    uint before = 0;
#pragma unroll
    for (uint n = 0; n < kLaneSlices; ++n) {
      const uint slice = lane + 32 * n;
      const uint place = before + simd_prefix_exclusive_sum(own_found.at[n]);
      if (slice < args.slices) offsets[slice] = place;
      before += simd_sum(own_found.at[n]);
    }
    if (lane == 0) {
      offsets[args.slices] = before;
      atomic_store_explicit(&winner, LATTICE_NO_ID, memory_order_relaxed);
      atomic_store_explicit(&heaviest, 0, memory_order_relaxed);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  draw.count = offsets[args.slices];

  Cut cut = {0, LATTICE_NO_ID};
  if (needs_histogram(sampling)) {
    cut = draw.count <= kMaxRanked
              ? cut_by_rank(draw, candidates, offsets, ranked, last_rank, shared_cut, sampling, args, team)
              : cut_by_bisection(draw, candidates, offsets, sampling, args, team);
  }

  // Every thread adds up a run of the candidates, which by id come one after the other, and then looks whether the
  // random part of the whole ends in its run.
  const uint threads = kSimdgroups * 32;
  const uint run = (draw.count + threads - 1) / threads;
  const uint first = min(thread_index * run, draw.count);
  const uint last = min(first + run, draw.count);
  float sum = 0;
  for (uint i = first; i < last; ++i) sum += kept_weight(i, cut, draw, candidates, offsets, sampling, args);
  const float total = team_sum(sum, team);
  float reached = simd_prefix_exclusive_sum(sum);
  for (uint i = 0; i < simdgroup; ++i) reached += sums[i];
  const float wanted =
      uniform_at(sampling.seed_low, sampling.seed_high, uint(step.position) + 1) * total;
  for (uint i = first; i < last; ++i) {
    const float weight = kept_weight(i, cut, draw, candidates, offsets, sampling, args);
    if (weight == 0) continue;
    atomic_fetch_max_explicit(&heaviest, i + 1, memory_order_relaxed);
    reached += weight;
    if (reached > wanted) {
      atomic_fetch_min_explicit(&winner, i, memory_order_relaxed);
      break;
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);  // all have read the position
  if (thread_index != 0) return;
  uint at = atomic_load_explicit(&winner, memory_order_relaxed);
  // Where rounding took the random part beyond the last sum, the last candidate it is.
  if (at == LATTICE_NO_ID) at = atomic_load_explicit(&heaviest, memory_order_relaxed) - 1;
  const Candidate candidate = candidate_at(at, candidates, offsets, args);
  leave_token(DrawnToken{int(candidate.id), candidate.logit}, step, seen, ring, sampling, args);
}
