// A prompt's attention, in two passes: attention_prepare norms and rotates the queries where they stand and appends
// keys and values to the cache; attention_prefill is flash attention over the cache (Dao, "FlashAttention-2", 2023).
//
// A simdgroup takes one head and 8 tokens, and walks the keys in tiles of 32, which it reads from memory as they are: the
// threadgroup's simdgroups take the same keys at about the same time, so that all but one find them in the cache nearest to the
// core, and nobody waits for another. A simdgroup keeps its 8 rows to itself: their scores, their softmax, and 8 × head_dim of
// output in registers. Rows of output are scaled by a product with a diagonal matrix, since which lane holds which element is not
// for a kernel to know.

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
constant uint kDim = kLaneDims * 32;

constant constexpr uint kMaxSimdgroups = 8;
constant constexpr uint kKeys = 32;  // of a tile
constant constexpr uint kKeyTiles = kKeys / 8;
constant constexpr uint kScoreStride = kKeys + 4;

namespace lattice_gpu {

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

  if (head < args.heads.heads) {
    device float* query = row + head * 2 * kDim;
    norm_and_rotate(query, q_norm, low_angles, high_angles, args.heads, position, lane, own);
    simdgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
    for (uint i = lane; i < kDim; i += 32) query[i] = own[i] * args.heads.scale;
  } else {
    const uint kv_head = head - args.heads.heads;
    const ulong at = (ulong(kv_head) * args.heads.capacity + position) * kDim;
    norm_and_rotate(row + args.heads.k_offset + kv_head * kDim, k_norm, low_angles, high_angles, args.heads, position,
                    lane, own);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = lane; i < kDim; i += 32) {
      keys[at + i] = KvType(own[i]);
      values[at + i] = KvType(row[args.heads.v_offset + kv_head * kDim + i]);
    }
  }
}

/// projections as attention_prepare leaves them → out [tokens, out_stride], [heads · head_dim] of each row, gated. Projections
/// have rows up to the next multiple of 8 · SIMDGROUPS tokens; keys and values have 31 rows behind the last, as whole tiles are
/// read. Threadgroups: (heads, ⌈tokens / (8 · SIMDGROUPS)⌉) of SIMDGROUPS · 32 threads; those with most keys come first.
template <typename KvType>
[[kernel, max_total_threads_per_threadgroup(256)]] void attention_prefill(
    device const PromptSpan& span [[buffer(0)]], device const float* projections [[buffer(1)]],
    device const KvType* keys [[buffer(2)]], device const KvType* values [[buffer(3)]],
    device float* out [[buffer(4)]], constant AttentionPrefillArgs& args [[buffer(5)]],
    uint2 place [[threadgroup_position_in_grid]], uint2 groups [[threadgroups_per_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float score_rows[kMaxSimdgroups * 8 * kScoreStride];
  threadgroup float diagonals[kMaxSimdgroups * 64];
  threadgroup float* scores = score_rows + simdgroup * 8 * kScoreStride;
  threadgroup float* diagonal = diagonals + simdgroup * 64;

  const uint tokens = uint(span.tokens);
  const uint head = place.x;
  const uint first_token = ((groups.y - 1 - place.y) * kSimdgroups + simdgroup) * 8;
  if (first_token >= tokens) return;
  const uint kv_head = head / (args.heads.heads / args.heads.kv_heads);
  device const KvType* own_keys = keys + ulong(kv_head) * args.heads.capacity * kDim;
  device const KvType* own_values = values + ulong(kv_head) * args.heads.capacity * kDim;
  const uint count = uint(span.position) + min(tokens, first_token + 8);  // keys that any row sees
  device const float* queries = projections + ulong(first_token) * args.stride + head * 2 * kDim;

  // Four lanes share a row of scores, each with 8 of its keys.
  const uint row = lane / 4;
  const uint row_keys = first_token + row < tokens ? uint(span.position) + first_token + row + 1 : 0;
  RowSoftmax softmax = {-INFINITY, 0.0f};
  for (uint i = lane; i < 64; i += 32) diagonal[i] = 0;

  simdgroup_float8x8 outputs[kMaxHeadDim / 8];
#pragma unroll
  for (uint i = 0; i < kDim / 8; ++i) outputs[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

  for (uint first_key = 0; first_key < count; first_key += kKeys) {
    simdgroup_float8x8 products[kKeyTiles];
#pragma unroll
    for (uint j = 0; j < kKeyTiles; ++j) products[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    device const KvType* tile_keys = own_keys + ulong(first_key) * kDim;
    device const KvType* tile_values = own_values + ulong(first_key) * kDim;
#pragma unroll 4
    for (uint d = 0; d < kDim; d += 8) {
      simdgroup_float8x8 query;
      simdgroup_load(query, queries + d, args.stride);
#pragma unroll
      for (uint j = 0; j < kKeyTiles; ++j) {
        simdgroup_float8x8 key;
        load_floats(key, tile_keys + j * 8 * kDim + d, kDim, true);
        simdgroup_multiply_accumulate(products[j], query, key, products[j]);
      }
    }
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
#pragma unroll
    for (uint j = 0; j < kKeyTiles; ++j) {
      simdgroup_float8x8 weights;
      simdgroup_load(weights, scores + j * 8, kScoreStride);
#pragma unroll
      for (uint i = 0; i < kDim / 8; ++i) {
        simdgroup_float8x8 value;
        load_floats(value, tile_values + j * 8 * kDim + i * 8, kDim, false);
        simdgroup_multiply_accumulate(outputs[i], weights, value, outputs[i]);
      }
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }

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
      constant AttentionPrefillArgs&, uint2, uint2, uint, uint)

LATTICE_ATTENTION("f32", float);
LATTICE_ATTENTION("f16", half);
