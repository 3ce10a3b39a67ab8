// One token's attention (flash decoding): q and k norms, rotary embedding, the cache's new row, and an online softmax over
// the keys, with K and V read once for all query heads of their group.
//
// A threadgroup owns a KV head and one of `parts` ranges of keys; its simdgroups take blocks of keys in turn, whose loads are all
// issued before the first is used, those of the first block before the token's own query is there; a lane holds head_dim / 32
// dimensions. The last part appends the token's own key and value. With one part the result is final; with more, attention_merge
// joins what the parts leave.

#include <metal_stdlib>

#include "activations.h"
#include "attention.h"
#include "hints.h"
#include "kernel_args.h"
#include "planes.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kGroup [[function_constant(LATTICE_FC_GROUP)]];         // constants, so that
constant uint kLaneDims [[function_constant(LATTICE_FC_LANE_DIMS)]];  // what they bound stays in registers
constant uint kRotaryDim [[function_constant(LATTICE_FC_ROTARY)]];
constant uint kToPlanes [[function_constant(LATTICE_FC_TO_PLANES)]];

constant constexpr uint kMaxSimdgroups = 8;
constant constexpr uint kMaxGroup = 8;  // query heads of a KV head
constant uint kKeys = kGroup > 4 ? 2 : 4;  // that a simdgroup takes together: what registers hold
constant constexpr uint kMaxKeys = 4;
constant constexpr uint kMergedParts = 4;  // that a simdgroup of attention_merge takes together
constant uint kThreadDims = (kLaneDims + kSimdgroups - 1) / max(kSimdgroups, 1u);  // of a head's output that a thread adds up

namespace lattice_gpu {

/// The running softmax of one query head: maximum, Σ exp, Σ exp · value (this lane's dimensions).
struct Softmax {
  float maximum;
  float total;
  float values[kMaxLaneDims];
};

/// The dimension that a lane holds in place `i`: four that lie together where it has so many.
inline uint dim_of(uint lane, uint i) {
  return kLaneDims % 4 == 0 ? (i / 4 * 32 + lane) * 4 + i % 4 : lane + 32 * i;
}

/// A lane's dimensions of a row.
template <typename T>
inline void load_dims(device const T* row, uint lane, thread float* out) {
  if (kLaneDims % 4 == 0) {
#pragma unroll
    for (uint i = 0; i < kLaneDims / 4; ++i) {
      const vec<T, 4> four = reinterpret_cast<device const vec<T, 4>*>(row)[i * 32 + lane];
#pragma unroll
      for (uint j = 0; j < 4; ++j) out[4 * i + j] = float(four[j]);
    }
  } else {
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) out[i] = float(row[lane + 32 * i]);
  }
}

/// A simdgroup's keys and values, a lane's dimensions of them.
struct KeyBlock {
  float k[kMaxKeys][kMaxLaneDims];
  float v[kMaxKeys][kMaxLaneDims];
};

/// Rows of the cache from `first` on, and zeros where they reach `last`.
template <typename T>
inline void load_block(device const T* keys, device const T* values, uint first, uint last, uint lane,
                       thread KeyBlock& block) {
  const uint dim = kLaneDims * 32;
#pragma unroll
  for (uint n = 0; n < kKeys; ++n) {
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) {
      block.k[n][i] = 0;
      block.v[n][i] = 0;
    }
    if (first + n >= last) continue;
    load_dims(keys + ulong(first + n) * dim, lane, block.k[n]);
    load_dims(values + ulong(first + n) * dim, lane, block.v[n]);
  }
}

/// The token's own row, in its place in a block of keys from `first` on.
inline void take_own(threadgroup const float* key, threadgroup const float* value, uint first, uint position, uint lane,
                     thread KeyBlock& block) {
#pragma unroll
  for (uint n = 0; n < kKeys; ++n) {
    if (first + n != position) continue;
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) {
      block.k[n][i] = key[dim_of(lane, i)];
      block.v[n][i] = value[dim_of(lane, i)];
    }
  }
}

/// Adds a block's keys, of which the first `count` are there, to the softmax of one query.
inline void attend(thread const KeyBlock& block, uint count, threadgroup const float* query, float scale, uint lane,
                   thread Softmax& softmax) {
  float scores[kMaxKeys] = {};
#pragma unroll
  for (uint i = 0; i < kLaneDims; ++i) {
    const float q = query[dim_of(lane, i)];
#pragma unroll
    for (uint n = 0; n < kKeys; ++n) scores[n] += block.k[n][i] * q;
  }
  float maximum = softmax.maximum;
#pragma unroll
  for (uint n = 0; n < kKeys; ++n) {
    scores[n] = lattice_simd_sum(scores[n]) * scale;
    if (n >= count) scores[n] = -INFINITY;
    maximum = max(maximum, scores[n]);
  }
  const float fade = precise::exp(softmax.maximum - maximum);
  softmax.maximum = maximum;
  softmax.total *= fade;
#pragma unroll
  for (uint i = 0; i < kLaneDims; ++i) softmax.values[i] *= fade;
#pragma unroll
  for (uint n = 0; n < kKeys; ++n) {
    const float weight = precise::exp(scores[n] - maximum);
    softmax.total += weight;
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) softmax.values[i] += weight * block.v[n][i];
  }
}

/// What the simdgroups' states (maximum, total) of one query come to.
struct Joined {
  float maximum;
  float total;
};

inline Joined join(threadgroup const float2* states, uint lane) {
  const float2 state = lane < kSimdgroups ? states[lane * kMaxGroup] : float2(-INFINITY, 0.0f);
  float maximum = state.x;
  for (ushort step = 1; step < 32; step *= 2) maximum = max(maximum, lattice_simd_shuffle_xor(maximum, step));
  const float fade = state.y > 0 ? precise::exp(state.x - maximum) : 0.0f;
  return {maximum, lattice_simd_sum(state.y * fade)};
}

}  // namespace lattice_gpu

/// projections [per head query | gate][k][v] of one token; keys and values [kv_heads, capacity, head_dim].
/// parts = 1: out [heads · head_dim], gated, as TO_PLANES says. Otherwise partial [heads, parts, head_dim + 2] gets each
/// part's values, maximum and total. Threadgroups: (parts, kv_heads) of SIMDGROUPS · 32 threads. head_dim is a multiple of 32, at most 256; heads /
/// kv_heads is at most 8.
template <typename KvType>
[[kernel, max_total_threads_per_threadgroup(512)]] void attention_decode(
    device const StepState& step [[buffer(0)]], device const float* projections [[buffer(1)]],
    device const float* q_norm [[buffer(2)]], device const float* k_norm [[buffer(3)]],
    device const float2* low_angles [[buffer(4)]], device const float2* high_angles [[buffer(5)]],
    device KvType* keys [[buffer(6)]], device KvType* values [[buffer(7)]], device float* out [[buffer(8)]],
    device float* partial [[buffer(9)]], constant AttentionArgs& args [[buffer(10)]],
    uint2 place [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  static_assert(kMaxSimdgroups == kMaxGroup, "of the two arrays that outputs meet in, one has held the queries");
  threadgroup float queries[kMaxGroup * kMaxHeadDim];
  threadgroup float outputs[kMaxSimdgroups * kMaxHeadDim];
  threadgroup float own_key[kMaxHeadDim];
  threadgroup float own_value[kMaxHeadDim];
  threadgroup float2 states[kMaxSimdgroups * kMaxGroup];  // maximum and total of each simdgroup and head

  lattice_allow_next();
  const uint dim = kLaneDims * 32;
  const HeadDims dims = {kLaneDims, kRotaryDim};
  const uint threads = kSimdgroups * 32;
  const uint part = place.x;
  const uint kv_head = place.y;
  const uint position = uint(step.position);
  const uint count = position + 1;
  const KeyRange range = range_of(part, args.parts, count);
  device KvType* head_keys = keys + ulong(kv_head) * args.capacity * dim;
  device KvType* head_values = values + ulong(kv_head) * args.capacity * dim;
  const uint stored = min(range.last, position);  // rows before it are of earlier submissions
  uint first = range.first + simdgroup * kKeys;
  KeyBlock block;
  load_block<KvType>(head_keys, head_values, first, stored, lane, block);
  const uint key_task = kGroup;  // of simdgroups: the queries, and as one more of them the token's own key
  HeadVectors vectors =
      load_head_vectors(simdgroup == key_task ? k_norm : q_norm, low_angles, high_angles, dims, position, lane);
  lattice_wait_for_inputs();

  const bool owns_last = range.last == count && range.first < count;
  const bool keeps_own = owns_last && simdgroup == key_task % kSimdgroups;
  float value[kMaxLaneDims];
  if (keeps_own) {
#pragma unroll
    for (uint n = 0; n < kLaneDims; ++n) value[n] = projections[args.v_offset + kv_head * dim + lane + 32 * n];
  }
  for (uint g = simdgroup; g < key_task + (owns_last ? 1 : 0); g += kSimdgroups) {
    const bool is_key = g == key_task;
    if (g != simdgroup) vectors = load_head_vectors(is_key ? k_norm : q_norm, low_angles, high_angles, dims, position, lane);
    const uint at = is_key ? args.k_offset + kv_head * dim : (kv_head * kGroup + g) * 2 * dim;
    norm_and_rotate(projections + at, vectors, dims, args.epsilon, lane, is_key ? own_key : queries + g * dim);
  }
  if (keeps_own) {
#pragma unroll
    for (uint n = 0; n < kLaneDims; ++n) {
      const uint i = lane + 32 * n;
      const KvType own_k = kept<KvType>(own_key[i]);
      const KvType own_v = kept<KvType>(value[n]);
      own_key[i] = float(own_k);
      own_value[i] = float(own_v);
      head_keys[ulong(position) * dim + i] = own_k;
      head_values[ulong(position) * dim + i] = own_v;
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  Softmax softmax[kMaxGroup];
#pragma unroll
  for (uint g = 0; g < kGroup; ++g) {
    softmax[g].maximum = -INFINITY;
    softmax[g].total = 0;
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) softmax[g].values[i] = 0;
  }
  for (; first < range.last; first += kSimdgroups * kKeys) {
    if (first + kKeys > position) take_own(own_key, own_value, first, position, lane, block);
#pragma unroll
    for (uint g = 0; g < kGroup; ++g) {
      attend(block, range.last - first, queries + g * dim, args.scale, lane, softmax[g]);
    }
    load_block<KvType>(head_keys, head_values, first + kSimdgroups * kKeys, stored, lane, block);
  }

  float gates[kMaxGroup][kMaxLaneDims];  // asked for before they are needed
  if (args.parts == 1) {
#pragma unroll
    for (uint g = 0; g < kGroup; ++g) {
#pragma unroll
      for (uint n = 0; n < kThreadDims; ++n) {
        const uint i = min(thread_index + n * threads, dim - 1);
        gates[g][n] = projections[(kv_head * kGroup + g) * 2 * dim + dim + i];
      }
    }
  }
  // The simdgroups' states meet, and then their values, scaled to the common maximum: a head at a time, in two arrays by turns.
  if (lane == 0) {
#pragma unroll
    for (uint g = 0; g < kGroup; ++g) {
      states[simdgroup * kMaxGroup + g] = float2(softmax[g].maximum, softmax[g].total);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
  for (uint g = 0; g < kGroup; ++g) {
    threadgroup float* meeting = g % 2 == 0 ? outputs : queries;
    const Joined joined = join(states + g, lane);
    const float fade = softmax[g].total > 0 ? precise::exp(softmax[g].maximum - joined.maximum) : 0.0f;
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) meeting[simdgroup * dim + dim_of(lane, i)] = softmax[g].values[i] * fade;
    threadgroup_barrier(mem_flags::mem_threadgroup);

    const uint head = kv_head * kGroup + g;
    device float* row = partial + ulong(head * args.parts + part) * (dim + 2);
#pragma unroll
    for (uint n = 0; n < kThreadDims; ++n) {
      const uint i = thread_index + n * threads;
      if (i >= dim) break;
      float sum = 0;
#pragma unroll
      for (uint s = 0; s < kSimdgroups; ++s) sum += meeting[s * dim + i];
      if (args.parts == 1) {
        store_output(kToPlanes, sum / joined.total * sigmoid(gates[g][n]), head * dim + i, args.heads * dim, out);
      } else {
        row[i] = sum;
      }
    }
    if (args.parts > 1 && thread_index == 0) {
      row[dim] = joined.maximum;
      row[dim + 1] = joined.total;
    }
  }
}

template [[host_name("attention_decode_f32")]] [[kernel]] void attention_decode<float>(
    device const StepState&, device const float*, device const float*, device const float*, device const float2*,
    device const float2*, device float*, device float*, device float*, device float*, constant AttentionArgs&, uint2,
    uint, uint, uint);
template [[host_name("attention_decode_f16")]] [[kernel]] void attention_decode<half>(
    device const StepState&, device const float*, device const float*, device const float*, device const float2*,
    device const float2*, device half*, device half*, device float*, device float*, constant AttentionArgs&, uint2,
    uint, uint, uint);

namespace lattice_gpu {

/// What a lane reads of a few parts of a head: their maxima and totals, and its dimensions of their values.
struct PartRows {
  float2 states[kMergedParts];
  float values[kMergedParts][kMaxLaneDims];
};

/// Parts `first`, `first` + kSimdgroups, …; beyond the last one with a total of 0.
inline void load_parts(device const float* rows, uint first, uint parts, uint lane, thread PartRows& out) {
  const uint dim = kLaneDims * 32;
#pragma unroll
  for (uint n = 0; n < kMergedParts; ++n) {
    const uint part = first + n * kSimdgroups;
    device const float* row = rows + min(part, parts - 1) * (dim + 2);
    out.states[n] = float2(row[dim], part < parts ? row[dim + 1] : 0.0f);
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) out.values[n][i] = row[lane + 32 * i];
  }
}

}  // namespace lattice_gpu

/// Joins the parts of a head: partial [heads, parts, head_dim + 2] → out [heads · head_dim], gated, as TO_PLANES says.
/// Threadgroups: heads, of SIMDGROUPS · 32 threads; simdgroups take parts in turn, a few together.
[[kernel, max_total_threads_per_threadgroup(256)]] void attention_merge(
    device const float* projections [[buffer(0)]], device const float* partial [[buffer(1)]],
    device float* out [[buffer(2)]], constant AttentionArgs& args [[buffer(3)]],
    uint head [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float outputs[kMaxSimdgroups * kMaxHeadDim];
  threadgroup float totals[kMaxSimdgroups];

  lattice_allow_next();
  const uint dim = kLaneDims * 32;
  device const float* rows = partial + ulong(head) * args.parts * (dim + 2);
  lattice_wait_for_inputs();

  // Asked for before any of it is used: a lane's maxima, the first parts, and a thread's gates.
  float maximum = -INFINITY;
  for (uint p = lane; p < args.parts; p += 32) maximum = max(maximum, rows[p * (dim + 2) + dim]);
  PartRows part_rows;
  load_parts(rows, simdgroup, args.parts, lane, part_rows);
  float gates[kMaxLaneDims];
#pragma unroll
  for (uint n = 0; n < kThreadDims; ++n) {
    gates[n] = projections[head * 2 * dim + dim + min(thread_index + n * kSimdgroups * 32, dim - 1)];
  }
  maximum = simd_max(maximum);
  float total = 0;
  float values[kMaxLaneDims] = {};
  for (uint p = simdgroup; p < args.parts; p += kSimdgroups * kMergedParts) {
#pragma unroll
    for (uint n = 0; n < kMergedParts; ++n) {
      const float2 state = part_rows.states[n];
      const float fade = state.y > 0 ? precise::exp(state.x - maximum) : 0.0f;  // a part may have no keys
      total += state.y * fade;
#pragma unroll
      for (uint i = 0; i < kLaneDims; ++i) values[i] += part_rows.values[n][i] * fade;
    }
    load_parts(rows, p + kSimdgroups * kMergedParts, args.parts, lane, part_rows);
  }
#pragma unroll
  for (uint i = 0; i < kLaneDims; ++i) outputs[simdgroup * dim + lane + 32 * i] = values[i];
  if (lane == 0) totals[simdgroup] = total;
  threadgroup_barrier(mem_flags::mem_threadgroup);

#pragma unroll
  for (uint n = 0; n < kThreadDims; ++n) {
    const uint i = thread_index + n * kSimdgroups * 32;
    if (i >= dim) break;
    float sum = 0;
    float all = 0;
#pragma unroll
    for (uint s = 0; s < kSimdgroups; ++s) {
      sum += outputs[s * dim + i];
      all += totals[s];
    }
    store_output(kToPlanes, sum / all * sigmoid(gates[n]), head * dim + i, args.heads * dim, out);
  }
}
