// One token's attention (flash decoding): q and k norms, rotary embedding, the cache's new row, and an online softmax over
// the keys, with K and V read once for all query heads of their group.
//
// A threadgroup owns a KV head and one of `parts` ranges of keys; its simdgroups take keys in turn, a lane holding
// head_dim / 32 dimensions. The last part appends the token's own key and value. With one part the result is final; with more,
// attention_merge joins what the parts leave.

#include <metal_stdlib>

#include "activations.h"
#include "attention.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kGroup [[function_constant(LATTICE_FC_GROUP)]];         // constants, so that
constant uint kLaneDims [[function_constant(LATTICE_FC_LANE_DIMS)]];  // what they bound stays in registers

constant constexpr uint kMaxSimdgroups = 8;
constant constexpr uint kMaxHeadDim = 256;
constant constexpr uint kMaxLaneDims = kMaxHeadDim / 32;
constant constexpr uint kMaxGroup = 8;  // query heads of a KV head
constant constexpr uint kKeyBlock = 32;  // parts begin at multiples of it

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

}  // namespace lattice_gpu

/// projections [per head query | gate][k][v] of one token; keys and values [kv_heads, capacity, head_dim].
/// parts = 1: out [heads · head_dim], gated. Otherwise partial [heads, parts, head_dim + 2] gets each part's values, maximum
/// and total. Threadgroups: (parts, kv_heads) of SIMDGROUPS · 32 threads. head_dim is a multiple of 32, at most 256; heads /
/// kv_heads is at most 8.
template <typename KvType>
[[kernel]] void attention_decode(
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

  const uint dim = kLaneDims * 32;
  const uint part = place.x;
  const uint kv_head = place.y;
  const uint position = uint(step.position);
  const uint count = position + 1;
  const KeyRange range = range_of(part, args.parts, count);
  device KvType* head_keys = keys + ulong(kv_head) * args.capacity * dim;
  device KvType* head_values = values + ulong(kv_head) * args.capacity * dim;

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
  for (uint g = 0; g < kGroup; ++g) {
    softmax[g].maximum = -INFINITY;
    softmax[g].total = 0;
    for (uint i = 0; i < kLaneDims; ++i) softmax[g].values[i] = 0;
  }
  for (uint key = range.first + simdgroup; key < range.last; key += kSimdgroups) {
    float k[kMaxLaneDims];
    float v[kMaxLaneDims];
    for (uint i = 0; i < kLaneDims; ++i) {
      k[i] = float(head_keys[ulong(key) * dim + lane * kLaneDims + i]);
      v[i] = float(head_values[ulong(key) * dim + lane * kLaneDims + i]);
    }
    for (uint g = 0; g < kGroup; ++g) {
      float score = 0;
      for (uint i = 0; i < kLaneDims; ++i) score += k[i] * queries[g * dim + lane * kLaneDims + i];
      score = simd_sum(score) * args.scale;
      const float maximum = max(softmax[g].maximum, score);
      const float fade = precise::exp(softmax[g].maximum - maximum);
      const float weight = precise::exp(score - maximum);
      softmax[g].maximum = maximum;
      softmax[g].total = softmax[g].total * fade + weight;
      for (uint i = 0; i < kLaneDims; ++i) softmax[g].values[i] = softmax[g].values[i] * fade + weight * v[i];
    }
  }

  // The simdgroups' states meet: every one scales its values to the common maximum, and they add up in turn.
  if (lane == 0) {
    for (uint g = 0; g < kGroup; ++g) {
      states[simdgroup * kMaxGroup + g] = float2(softmax[g].maximum, softmax[g].total);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint turn = 0; turn < kSimdgroups; ++turn) {
    if (turn == simdgroup) {
      for (uint g = 0; g < kGroup; ++g) {
        float maximum = -INFINITY;
        for (uint s = 0; s < kSimdgroups; ++s) maximum = max(maximum, states[s * kMaxGroup + g].x);
        const float fade = softmax[g].total > 0 ? precise::exp(softmax[g].maximum - maximum) : 0.0f;
        for (uint i = 0; i < kLaneDims; ++i) {
          threadgroup float& output = outputs[g * dim + lane * kLaneDims + i];
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
/// 32 threads.
[[kernel]] void attention_merge(device const float* projections [[buffer(0)]],
                                device const float* partial [[buffer(1)]], device float* out [[buffer(2)]],
                                constant AttentionArgs& args [[buffer(3)]],
                                uint head [[threadgroup_position_in_grid]],
                                uint lane [[thread_index_in_simdgroup]]) {
  const uint dim = kLaneDims * 32;
  device const float* rows = partial + ulong(head) * args.parts * (dim + 2);
  float maximum = -INFINITY;
  for (uint p = 0; p < args.parts; ++p) maximum = max(maximum, rows[p * (dim + 2) + dim]);
  float total = 0;
  float values[kMaxLaneDims] = {};
  for (uint p = 0; p < args.parts; ++p) {
    device const float* row = rows + p * (dim + 2);
    const float part_total = row[dim + 1];
    if (part_total == 0) continue;  // a part without keys
    const float fade = precise::exp(row[dim] - maximum);
    total += part_total * fade;
    for (uint i = 0; i < kLaneDims; ++i) values[i] += row[lane + 32 * i] * fade;
  }
  for (uint i = 0; i < kLaneDims; ++i) {
    const uint at = lane + 32 * i;
    out[head * dim + at] = values[i] / total * sigmoid(projections[head * 2 * dim + dim + at]);
  }
}
