// A prompt's attention, in two passes: attention_prepare norms and rotates the queries where they stand and appends
// keys and values to the cache; attention_prefill is flash attention over the cache (Dao, "FlashAttention-2", 2023).
//
// A threadgroup takes one head and 8 tokens a simdgroup, and walks the keys in tiles of 32. K and V of a tile pass through
// threadgroup memory in slabs of 64 dimensions, converted once for all simdgroups; the next slab is on its way from memory while one is
// multiplied, and goes to the other of two places. A simdgroup keeps its 8 rows to itself: their queries, their scores, their softmax,
// and 8 × head_dim of output in registers. Rows of output are scaled by a product with a diagonal matrix, since which lane holds which
// element is not for a kernel to know.

#include <metal_simdgroup_matrix>
#include <metal_stdlib>

#include "activations.h"
#include "attention.h"
#include "kernel_args.h"
#include "matrix_tiles.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];  // at most 8
constant uint kLaneDims [[function_constant(LATTICE_FC_LANE_DIMS)]];
constant uint kRotaryDim [[function_constant(LATTICE_FC_ROTARY)]];
constant uint kDim = kLaneDims * 32;

constant constexpr uint kMaxSimdgroups = 8;
constant constexpr uint kKeys = 32;  // of a tile
constant constexpr uint kKeyTiles = kKeys / 8;
constant constexpr uint kScoreStride = kKeys + 4;
constant constexpr uint kSlab = 64;            // dimensions that pass through threadgroup memory at once
constant constexpr uint kKeyStride = kSlab + 8;    // a simdgroup reads rows of keys in pairs and columns of values one by one:
constant constexpr uint kValueStride = kSlab + 4;  // each without meeting itself in a bank
constant constexpr uint kMaxLoads = kKeys * kSlab / 4 / 32;  // of 16 bytes, a thread and slab
constant uint kSlabs = (kDim + kSlab - 1) / kSlab;

namespace lattice_gpu {

/// A thread's share of a slab, on its way.
struct Slab {
  float4 vectors[kMaxLoads];

  /// Dimensions slab · 64 … + 64 of keys (or values) first_key … + 32 of a head; zeros from `count` on.
  template <typename KvType>
  void load(device const KvType* rows, uint first_key, uint count, uint slab, uint thread_index) thread {
    const uint width = min(kSlab, kDim - slab * kSlab) / 4;
#pragma unroll
    for (uint n = 0; n * kSimdgroups * 32 < kKeys * kSlab / 4; ++n) {
      const uint i = n * kSimdgroups * 32 + thread_index;
      const uint key = first_key + i / width;
      vectors[n] = float4(0);
      if (i < kKeys * width && key < count) {
        device const KvType* row = rows + ulong(key) * kDim + slab * kSlab;
        vectors[n] = float4(reinterpret_cast<device const vec<KvType, 4>*>(row)[i % width]);
      }
    }
  }

  void store(threadgroup float4* to, uint stride, uint slab, uint thread_index) const thread {
    const uint width = min(kSlab, kDim - slab * kSlab) / 4;
#pragma unroll
    for (uint n = 0; n * kSimdgroups * 32 < kKeys * kSlab / 4; ++n) {
      const uint i = n * kSimdgroups * 32 + thread_index;
      if (i < kKeys * width) to[i / width * (stride / 4) + i % width] = vectors[n];
    }
  }
};

/// The running softmax of a row of scores, which four lanes share.
struct RowSoftmax {
  float maximum;
  float total;
};

/// Takes 8 scores of a row's 32 in, of keys first_key … + 8, of which those from `count` on are not the row's to see: they become
/// weights, relative to the new maximum. Returns what that makes of all weights before. In all lanes of a simdgroup.
inline float take_in(threadgroup float* scores, uint first_key, uint count, thread RowSoftmax& softmax) {
  float largest = softmax.maximum;
  for (uint i = 0; i < 8; ++i) {
    if (first_key + i < count) largest = max(largest, scores[i]);
  }
  largest = quad_max(largest);
  float sum = 0;
  for (uint i = 0; i < 8; ++i) {
    const float weight = first_key + i < count ? precise::exp(scores[i] - largest) : 0.0f;
    scores[i] = weight;
    sum += weight;
  }
  const float fade = largest == softmax.maximum ? 1.0f : precise::exp(softmax.maximum - largest);
  softmax.total = softmax.total * fade + quad_sum(sum);
  softmax.maximum = largest;
  return fade;
}

}  // namespace lattice_gpu

/// projections [tokens, stride], each [per head query | gate][k][v]: queries become normed, rotated and scaled; keys and values
/// [kv_heads, capacity, head_dim] get the tokens' own. Threadgroups: (⌈(heads + kv_heads) / SIMDGROUPS⌉, tokens) of
/// SIMDGROUPS · 32 threads, a simdgroup a head of a token.
template <typename KvType>
[[kernel]] void attention_prepare(
    device const PromptSpan& span [[buffer(0)]], device float* projections [[buffer(1)]],
    device const float* q_norm [[buffer(2)]], device const float* k_norm [[buffer(3)]],
    device const float2* low_angles [[buffer(4)]], device const float2* high_angles [[buffer(5)]],
    device KvType* keys [[buffer(6)]], device KvType* values [[buffer(7)]],
    constant AttentionPrefillArgs& args [[buffer(8)]], uint2 place [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float rotated[kMaxSimdgroups * kMaxHeadDim];
  threadgroup float* own = rotated + simdgroup * kMaxHeadDim;

  const uint head = place.x * kSimdgroups + simdgroup;
  const uint token = place.y;
  if (head >= args.heads.heads + args.heads.kv_heads || token >= uint(span.tokens)) return;
  const uint position = uint(span.position) + token;
  device float* row = projections + ulong(token) * args.stride;

  const HeadDims dims = {kLaneDims, kRotaryDim};
  const HeadVectors vectors =
      load_head_vectors(head < args.heads.heads ? q_norm : k_norm, low_angles, high_angles, dims, position, lane);
  if (head < args.heads.heads) {
    device float* query = row + head * 2 * kDim;
    norm_and_rotate(query, vectors, dims, args.heads.epsilon, lane, own);
    simdgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
    for (uint i = lane; i < kDim; i += 32) query[i] = own[i] * args.heads.scale;
  } else {
    const uint kv_head = head - args.heads.heads;
    const ulong at = (ulong(kv_head) * args.heads.capacity + position) * kDim;
    norm_and_rotate(row + args.heads.k_offset + kv_head * kDim, vectors, dims, args.heads.epsilon, lane, own);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = lane; i < kDim; i += 32) {
      keys[at + i] = kept<KvType>(own[i]);
      values[at + i] = kept<KvType>(row[args.heads.v_offset + kv_head * kDim + i]);
    }
  }
}

/// projections as attention_prepare leaves them → out [tokens, out_stride], [heads · head_dim] of each row, gated. Projections
/// have rows up to the next multiple of 8 · SIMDGROUPS tokens, and an even stride. Threadgroups: (heads, ⌈tokens / (8 · SIMDGROUPS)⌉)
/// of SIMDGROUPS · 32 threads; those with most keys come first.
template <typename KvType>
[[kernel, max_total_threads_per_threadgroup(256)]] void attention_prefill(
    device const PromptSpan& span [[buffer(0)]], device const float* projections [[buffer(1)]],
    device const KvType* keys [[buffer(2)]], device const KvType* values [[buffer(3)]],
    device float* out [[buffer(4)]], constant AttentionPrefillArgs& args [[buffer(5)]],
    uint2 place [[threadgroup_position_in_grid]], uint2 groups [[threadgroups_per_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 slabs[2][kKeys * kKeyStride / 4];
  threadgroup float score_rows[kMaxSimdgroups * 8 * kScoreStride];
  threadgroup float diagonals[kMaxSimdgroups * 64];
  threadgroup float* scores = score_rows + simdgroup * 8 * kScoreStride;
  threadgroup float* diagonal = diagonals + simdgroup * 64;

  const uint tokens = uint(span.tokens);
  const uint head = place.x;
  const uint first_of_group = (groups.y - 1 - place.y) * kSimdgroups * 8;
  if (first_of_group >= tokens) return;
  const uint kv_head = head / (args.heads.heads / args.heads.kv_heads);
  device const KvType* own_keys = keys + ulong(kv_head) * args.heads.capacity * kDim;
  device const KvType* own_values = values + ulong(kv_head) * args.heads.capacity * kDim;
  const uint first_token = first_of_group + simdgroup * 8;
  // Keys that any row of the threadgroup sees, and any of the simdgroup's: none, where that has no tokens and only helps with the slabs.
  const uint count = uint(span.position) + min(tokens, first_of_group + 8 * kSimdgroups);
  const uint own_count = first_token < tokens ? uint(span.position) + min(tokens, first_token + 8) : 0;
  device const float* queries = projections + ulong(first_token) * args.stride + head * 2 * kDim;

  // Four lanes share a row of scores, each with 8 of its keys.
  const uint row = lane / 4;
  const uint row_keys = first_token + row < tokens ? uint(span.position) + first_token + row + 1 : 0;
  RowSoftmax softmax = {-INFINITY, 0.0f};
  for (uint i = lane; i < 64; i += 32) diagonal[i] = 0;

  simdgroup_float8x8 outputs[kMaxHeadDim / 8];
  simdgroup_float8x8 own_queries[kMaxHeadDim / 8];
#pragma unroll
  for (uint i = 0; i < kDim / 8; ++i) {
    outputs[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    lattice_load_pairs(own_queries[i], queries + i * 8, args.stride, false);
  }
  Slab ahead;
  ahead.load(own_keys, 0, count, 0, thread_index);
  ahead.store(slabs[0], kKeyStride, 0, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);

  for (uint first_key = 0; first_key < count; first_key += kKeys) {
    const bool idle = first_key >= own_count;
    simdgroup_float8x8 products[kKeyTiles];
#pragma unroll
    for (uint j = 0; j < kKeyTiles; ++j) products[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
#pragma unroll
    for (uint n = 0; n < kSlabs; ++n) {
      const bool last = n + 1 == kSlabs;
      const uint next = last ? 0 : n + 1;
      ahead.load(last ? own_values : own_keys, first_key, count, next, thread_index);
      threadgroup const float* slab = reinterpret_cast<threadgroup const float*>(slabs[n % 2]);
      if (!idle) {
#pragma unroll
        for (uint d = 0; d < min(kSlab, kDim - n * kSlab) / 8; ++d) {
#pragma unroll
          for (uint j = 0; j < kKeyTiles; ++j) {
            simdgroup_float8x8 key;
            lattice_load_pairs(key, slab + j * 8 * kKeyStride + d * 8, kKeyStride, true);
            simdgroup_multiply_accumulate(products[j], own_queries[n * kSlab / 8 + d], key, products[j]);
          }
        }
      }
      ahead.store(slabs[(n + 1) % 2], last ? kValueStride : kKeyStride, next, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (!idle) {
#pragma unroll
      for (uint j = 0; j < kKeyTiles; ++j) simdgroup_store(products[j], scores + j * 8, kScoreStride);
      simdgroup_barrier(mem_flags::mem_threadgroup);

      const uint own = lane % 4 * 8;
      const float fade = take_in(scores + row * kScoreStride + own, first_key + own, row_keys, softmax);
      if (lane % 4 == 0) diagonal[row * 9] = fade;
      simdgroup_barrier(mem_flags::mem_threadgroup);

      if (simd_any(fade != 1.0f)) {
        simdgroup_float8x8 fades;
        simdgroup_load(fades, diagonal, 8);
#pragma unroll
        for (uint i = 0; i < kDim / 8; ++i) {
          simdgroup_float8x8 faded;
          simdgroup_multiply(faded, fades, outputs[i]);
          outputs[i] = faded;
        }
      }
    }
#pragma unroll
    for (uint n = 0; n < kSlabs; ++n) {
      const bool last = n + 1 == kSlabs;
      const uint next = last ? 0 : n + 1;
      ahead.load(last ? own_keys : own_values, last ? first_key + kKeys : first_key, count, next, thread_index);
      threadgroup const float* slab = reinterpret_cast<threadgroup const float*>(slabs[(kSlabs + n) % 2]);
      if (!idle) {
#pragma unroll 1  // the outputs leave few registers for loads ahead
        for (uint j = 0; j < kKeyTiles; ++j) {
          simdgroup_float8x8 weights;
          lattice_load_pairs(weights, scores + j * 8, kScoreStride, false);
#pragma unroll
          for (uint d = 0; d < min(kSlab, kDim - n * kSlab) / 8; ++d) {
            simdgroup_float8x8 value;
            lattice_load_pairs(value, slab + j * 8 * kValueStride + d * 8, kValueStride, false);
            const uint i = n * kSlab / 8 + d;
            simdgroup_multiply_accumulate(outputs[i], weights, value, outputs[i]);
          }
        }
      }
      ahead.store(slabs[(kSlabs + n + 1) % 2], last ? kKeyStride : kValueStride, next, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }

  if (own_count == 0) return;
#pragma unroll
  for (uint first_dim = 0; first_dim < kDim; first_dim += kKeys) {  // the output takes the scores' place
    simdgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
    for (uint j = 0; j < kKeyTiles; ++j) simdgroup_store(outputs[first_dim / 8 + j], scores + j * 8, kScoreStride);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint r = 0; r < 8; ++r) {
      const float row_total = simd_broadcast(softmax.total, ushort(r * 4));
      if (first_token + r >= tokens) continue;
      const float gate = queries[ulong(r) * args.stride + kDim + first_dim + lane];
      out[ulong(first_token + r) * args.out_stride + head * kDim + first_dim + lane] =
          scores[r * kScoreStride + lane] / row_total * sigmoid(gate);
    }
  }
}

#define LATTICE_ATTENTION(name, type)                                                                                \
  template [[host_name("attention_prepare_" name)]] [[kernel]] void attention_prepare<type>(                         \
      device const PromptSpan&, device float*, device const float*, device const float*, device const float2*,       \
      device const float2*, device type*, device type*, constant AttentionPrefillArgs&, uint2, uint, uint);          \
  template [[host_name("attention_prefill_" name)]] [[kernel]] void attention_prefill<type>(                         \
      device const PromptSpan&, device const float*, device const type*, device const type*, device float*,          \
      constant AttentionPrefillArgs&, uint2, uint2, uint, uint, uint)

LATTICE_ATTENTION("f32", float);
LATTICE_ATTENTION("f16", half);
