// One token's attention (flash decoding): q and k norms, rotary embedding, the cache's new row, and an online softmax over
// the keys, with K and V read once for all query heads of their group.
//
// A threadgroup owns a KV head and one of `parts` ranges of keys; its simdgroups take blocks of keys in turn, whose loads are all
// issued before the first is used, a lane holding head_dim / 32 dimensions. The last part appends the token's own key and value.
// With one part the result is final; with more, attention_merge joins what the parts leave.

#include <metal_stdlib>

#include "activations.h"
#include "attention.h"
#include "hints.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kGroup [[function_constant(LATTICE_FC_GROUP)]];         // constants, so that
constant uint kLaneDims [[function_constant(LATTICE_FC_LANE_DIMS)]];  // what they bound stays in registers

constant constexpr uint kMaxSimdgroups = 8;
constant constexpr uint kMaxGroup = 8;  // query heads of a KV head
constant constexpr uint kKeyBlock = 32;  // parts begin at multiples of it
constant uint kKeys = kGroup > 4 ? 2 : 4;  // that a simdgroup takes together: what registers hold
constant constexpr uint kMaxKeys = 4;

namespace lattice_gpu {

/// The running softmax of one query head: maximum, Σ exp, Σ exp · value (this lane's dimensions).
struct Softmax {
  float maximum;
  float total;
  float values[kMaxLaneDims];
};

struct KeyRange {
  uint first;
  uint last;
};

/// The keys of `part`, of `count` in all. Parts are as even as whole blocks allow; late ones may be empty.
inline KeyRange range_of(uint part, uint parts, uint count) {
  const uint blocks = (count + kKeyBlock - 1) / kKeyBlock;
  return {min(blocks * part / parts * kKeyBlock, count), min(blocks * (part + 1) / parts * kKeyBlock, count)};
}

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

}  // namespace lattice_gpu

/// projections [per head query | gate][k][v] of one token; keys and values [kv_heads, capacity, head_dim].
/// parts = 1: out [heads · head_dim], gated. Otherwise partial [heads, parts, head_dim + 2] gets each part's values, maximum
/// and total. Threadgroups: (parts, kv_heads) of SIMDGROUPS · 32 threads. head_dim is a multiple of 32, at most 256; heads /
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
  threadgroup float queries[kMaxGroup * kMaxHeadDim];
  threadgroup float own_key[kMaxHeadDim];
  threadgroup float2 states[kMaxSimdgroups * kMaxGroup];  // maximum and total of each simdgroup and head
  threadgroup float outputs[kMaxGroup * kMaxHeadDim];

  lattice_allow_next();
  const uint dim = kLaneDims * 32;
  const uint part = place.x;
  const uint kv_head = place.y;
  const uint position = uint(step.position);
  const uint count = position + 1;
  const KeyRange range = range_of(part, args.parts, count);
  device KvType* head_keys = keys + ulong(kv_head) * args.capacity * dim;
  device KvType* head_values = values + ulong(kv_head) * args.capacity * dim;
  if (thread_index == 0) prefetch_head_vectors(q_norm, k_norm, low_angles, high_angles, args, position);
  lattice_wait_for_inputs();

  for (uint g = simdgroup; g < kGroup; g += kSimdgroups) {
    const uint head = kv_head * kGroup + g;
    norm_and_rotate(projections + head * 2 * dim, q_norm, low_angles, high_angles, args, position, lane,
                    queries + g * dim);
  }
  if (range.last == count && range.first < count && simdgroup == kSimdgroups - 1) {
    norm_and_rotate(projections + args.k_offset + kv_head * dim, k_norm, low_angles, high_angles, args, position,
                    lane, own_key);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = lane; i < dim; i += 32) {
      head_keys[ulong(position) * dim + i] = KvType(own_key[i]);
      head_values[ulong(position) * dim + i] = KvType(projections[args.v_offset + kv_head * dim + i]);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);

  Softmax softmax[kMaxGroup];
#pragma unroll
  for (uint g = 0; g < kGroup; ++g) {
    softmax[g].maximum = -INFINITY;
    softmax[g].total = 0;
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) softmax[g].values[i] = 0;
  }
  for (uint block = range.first + simdgroup * kKeys; block < range.last; block += kSimdgroups * kKeys) {
    float k[kMaxKeys][kMaxLaneDims];
    float v[kMaxKeys][kMaxLaneDims];
#pragma unroll
    for (uint n = 0; n < kKeys; ++n) {
      const uint key = min(block + n, range.last - 1);
      load_dims(head_keys + ulong(key) * dim, lane, k[n]);
      load_dims(head_values + ulong(key) * dim, lane, v[n]);
    }
#pragma unroll
    for (uint g = 0; g < kGroup; ++g) {
      float scores[kMaxKeys] = {};
#pragma unroll
      for (uint i = 0; i < kLaneDims; ++i) {
        const float query = queries[g * dim + dim_of(lane, i)];
#pragma unroll
        for (uint n = 0; n < kKeys; ++n) scores[n] += k[n][i] * query;
      }
      float maximum = softmax[g].maximum;
#pragma unroll
      for (uint n = 0; n < kKeys; ++n) {
        scores[n] = lattice_simd_sum(scores[n]) * args.scale;
        if (block + n >= range.last) scores[n] = -INFINITY;
        maximum = max(maximum, scores[n]);
      }
      const float fade = precise::exp(softmax[g].maximum - maximum);
      softmax[g].maximum = maximum;
      softmax[g].total *= fade;
#pragma unroll
      for (uint i = 0; i < kLaneDims; ++i) softmax[g].values[i] *= fade;
#pragma unroll
      for (uint n = 0; n < kKeys; ++n) {
        const float weight = precise::exp(scores[n] - maximum);
        softmax[g].total += weight;
#pragma unroll
        for (uint i = 0; i < kLaneDims; ++i) softmax[g].values[i] += weight * v[n][i];
      }
    }
  }

  // The simdgroups' states meet: every one scales its values to the common maximum, and they add up in turn.
  if (lane == 0) {
#pragma unroll
    for (uint g = 0; g < kGroup; ++g) {
      states[simdgroup * kMaxGroup + g] = float2(softmax[g].maximum, softmax[g].total);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  // Those that found no key have nothing to add; the first takes its turn even so, to write zeros.
  const uint blocks = (range.last - range.first + kKeys - 1) / kKeys;
  const uint turns = clamp(blocks, 1u, kSimdgroups);
  for (uint turn = 0; turn < turns; ++turn) {
    if (turn == simdgroup) {
#pragma unroll
      for (uint g = 0; g < kGroup; ++g) {
        float maximum = -INFINITY;
        for (uint s = 0; s < kSimdgroups; ++s) maximum = max(maximum, states[s * kMaxGroup + g].x);
        const float fade = softmax[g].total > 0 ? precise::exp(softmax[g].maximum - maximum) : 0.0f;
#pragma unroll
        for (uint i = 0; i < kLaneDims; ++i) {
          threadgroup float& output = outputs[g * dim + dim_of(lane, i)];
          output = (turn == 0 ? 0.0f : output) + softmax[g].values[i] * fade;
        }
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  for (uint i = thread_index; i < kGroup * dim; i += kSimdgroups * 32) {
    const uint g = i / dim;
    const uint head = kv_head * kGroup + g;
    float maximum = -INFINITY;
    float total = 0;
    for (uint s = 0; s < kSimdgroups; ++s) maximum = max(maximum, states[s * kMaxGroup + g].x);
    for (uint s = 0; s < kSimdgroups; ++s) {
      const float2 state = states[s * kMaxGroup + g];
      if (state.y > 0) total += state.y * precise::exp(state.x - maximum);
    }
    if (args.parts == 1) {
      const float gate = projections[head * 2 * dim + dim + i % dim];
      out[head * dim + i % dim] = outputs[i] / total * sigmoid(gate);
    } else {
      device float* row = partial + ulong(head * args.parts + part) * (dim + 2);
      row[i % dim] = outputs[i];
      if (i % dim == 0) {
        row[dim] = maximum;
        row[dim + 1] = total;
      }
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

/// Joins the parts of a head: partial [heads, parts, head_dim + 2] → out [heads · head_dim], gated. Threadgroups: heads, of
/// SIMDGROUPS · 32 threads; simdgroups take parts in turn.
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

  float maximum = -INFINITY;
  for (uint p = lane; p < args.parts; p += 32) maximum = max(maximum, rows[p * (dim + 2) + dim]);
  maximum = simd_max(maximum);
  float total = 0;
  float values[kMaxLaneDims] = {};
  for (uint p = simdgroup; p < args.parts; p += kSimdgroups) {
    device const float* row = rows + p * (dim + 2);
    const float part_total = row[dim + 1];
    const float fade = part_total > 0 ? precise::exp(row[dim] - maximum) : 0.0f;  // a part may have no keys
    total += part_total * fade;
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) values[i] += row[lane + 32 * i] * fade;
  }
#pragma unroll
  for (uint i = 0; i < kLaneDims; ++i) outputs[simdgroup * dim + lane + 32 * i] = values[i];
  if (lane == 0) totals[simdgroup] = total;
  threadgroup_barrier(mem_flags::mem_threadgroup);

  for (uint i = thread_index; i < dim; i += kSimdgroups * 32) {
    float sum = 0;
    float all = 0;
    for (uint s = 0; s < kSimdgroups; ++s) {
      sum += outputs[s * dim + i];
      all += totals[s];
    }
    out[head * dim + i] = sum / all * sigmoid(projections[head * 2 * dim + dim + i]);
  }
}
