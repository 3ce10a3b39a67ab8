// attention_decode over a cache of halves, for devices whose simdgroups multiply halves together (lattice_multiply_halves() in
// hints.h): so that hardly more than its load is spent on a key or a value.
//
// A simdgroup takes 16 keys together. Scores are a product of 16 keys by up to four queries, each as the sum of two halves, high and
// low, which keep 22 bits of a float: eight columns. Values are the left operand of a second product, of dimensions by keys, and the
// weights its right one, again as high and low. Each is a column of its own, and the two are added up in floats, so that what is rounded
// to 11 bits is the cache alone.
//
// A threadgroup takes QUERIES of a KV head's query heads, its share of which go in columns of four. Where a sequence is short, few:
// what they have in common is soon read, and each is work for a threadgroup.
//
// Lane l of a simdgroup holds, of the keys that it takes from `first` on:
//   K: keys first + l / 4 and 8 further, of each 32 dimensions the eight at 8 (l % 4)
//   V: keys first + 2 (l % 4), the next, and those 8 further, of each 64 dimensions the eight at 8 (l / 4)
//   scores and weights of query l % 4: those of its K
//   sums of query l % 4: the dimensions of its V

#include <metal_stdlib>

#include "activations.h"
#include "attention.h"
#include "hints.h"
#include "kernel_args.h"
#include "planes.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kGroup [[function_constant(LATTICE_FC_GROUP)]];
constant uint kQueries [[function_constant(LATTICE_FC_QUERIES)]];
constant uint kLaneDims [[function_constant(LATTICE_FC_LANE_DIMS)]];
constant uint kRotaryDim [[function_constant(LATTICE_FC_ROTARY)]];
constant uint kToPlanes [[function_constant(LATTICE_FC_TO_PLANES)]];

constant constexpr uint kMaxSimdgroups = 8;
constant constexpr uint kMaxQueries = 4;
constant constexpr uint kTileKeys = 16;
constant constexpr uint kMaxSteps = kMaxHeadDim / 32;  // of 32 dimensions, in which K is multiplied
constant constexpr uint kMaxSpans = kMaxHeadDim / 64;  // of 64 dimensions, as lanes hold V
constant constexpr uint kSpanDims = 64;
constant constexpr uint kSpanStride = kSpanDims + 4;  // queries begin in different banks
constant constexpr uint kMeetingFloats = 2 * kMaxSimdgroups * kMaxQueries * kSpanStride;

constant uint kSteps = kLaneDims;
constant uint kSpans = kLaneDims / 2;
constant uint kDim = kLaneDims * 32;
constant uint kThreads = max(kSimdgroups, 1u) * 32;
constant uint kSets = (kGroup + kQueries - 1) / max(kQueries, 1u);  // of queries, in which a KV head's are taken
constant uint kSpanFloats = kMaxSimdgroups * kQueries * kSpanStride;
constant uint kSpansTogether = min(kMeetingFloats / max(kSpanFloats, 1u), kSpans);  // that meet
constant uint kOutputs = (kQueries * kSpanDims + kThreads - 1) / kThreads;  // of a span, that a thread adds up
constant constexpr uint kMaxOutputs = kMaxQueries * kSpanDims / 32;

namespace lattice_gpu {

struct KeyTile {
  uint4 rows[2][kMaxSteps];
};

struct ValueTile {
  uint4 rows[4][kMaxSpans];
};

/// The key, less the tile's first, of the lane's n-th value.
inline uint value_key(uint lane, uint n) { return lane % 4 * 2 + n % 2 + n / 2 * 8; }

/// Rows of the cache [·, head_dim] from `first` on, and zeros from `stored` on.
inline void load_keys(device const half* keys, uint first, uint stored, uint lane, thread KeyTile& tile) {
#pragma unroll
  for (uint n = 0; n < 2; ++n) {
    const uint key = first + lane / 4 + 8 * n;
    device const uint4* row = reinterpret_cast<device const uint4*>(keys + ulong(key) * kDim) + lane % 4;
#pragma unroll
    for (uint s = 0; s < kSteps; ++s) tile.rows[n][s] = key < stored ? row[4 * s] : uint4(0);
  }
}

inline void load_values(device const half* values, uint first, uint stored, uint lane, thread ValueTile& tile) {
#pragma unroll
  for (uint n = 0; n < 4; ++n) {
    const uint key = first + value_key(lane, n);
    device const uint4* row = reinterpret_cast<device const uint4*>(values + ulong(key) * kDim) + lane / 4;
#pragma unroll
    for (uint j = 0; j < kSpans; ++j) tile.rows[n][j] = key < stored ? row[8 * j] : uint4(0);
  }
}

/// The token's own row, in its place in a tile from `first` on.
inline void take_own(threadgroup const half* key, threadgroup const half* value, uint first, uint position, uint lane,
                     thread KeyTile& keys, thread ValueTile& values) {
#pragma unroll
  for (uint n = 0; n < 2; ++n) {
    if (first + lane / 4 + 8 * n != position) continue;
#pragma unroll
    for (uint s = 0; s < kSteps; ++s) keys.rows[n][s] = reinterpret_cast<threadgroup const uint4*>(key)[4 * s + lane % 4];
  }
#pragma unroll
  for (uint n = 0; n < 4; ++n) {
    if (first + value_key(lane, n) != position) continue;
#pragma unroll
    for (uint j = 0; j < kSpans; ++j) values.rows[n][j] = reinterpret_cast<threadgroup const uint4*>(value)[8 * j + lane / 4];
  }
}

/// Two floats as halves, or what these leave of them.
inline uint halves_of(float a, float b, bool low) {
  const half2 high = half2(half(a), half(b));
  return as_type<uint>(low ? half2(half(a - float(high.x)), half(b - float(high.y))) : high);
}

/// Puts query `q` [head_dim] into the columns of the right operands, times `scale`, for lanes 8q to 8q + 7 of each step's two products;
/// the calling simdgroup's work.
inline void store_query(threadgroup const float* query, uint q, float scale, uint lane, threadgroup uint2* operands) {
#pragma unroll
  for (uint n = 0; n < kSteps / 2; ++n) {
    const uint product = lane / 8 + 4 * n;  // step product / 2, upper or lower four of eight dimensions
    const uint place = lane % 8;            // high and low of four lanes
    const float4 x = reinterpret_cast<threadgroup const float4*>(query)[product / 2 * 8 + place % 4 * 2 + product % 2] * scale;
    operands[product * 32 + q * 8 + place] = uint2(halves_of(x.x, x.y, place >= 4), halves_of(x.z, x.w, place >= 4));
  }
}

/// q · k for the lane's two keys and its query.
inline float2 scores_of(thread const KeyTile& tile, threadgroup const uint2* operands, uint lane) {
  float4 sums[4] = {};  // what an instruction waits for is not the one before
#pragma unroll
  for (uint s = 0; s < kSteps; ++s) {
    const uint4 a = tile.rows[0][s];
    const uint4 b = tile.rows[1][s];
    const uint chain = s % 2 * 2;
    sums[chain] = lattice_multiply_halves(uint4(a.x, b.x, a.y, b.y), operands[2 * s * 32 + lane], sums[chain], lane);
    sums[chain + 1] = lattice_multiply_halves(uint4(a.z, b.z, a.w, b.w), operands[(2 * s + 1) * 32 + lane], sums[chain + 1], lane);
  }
  const float4 sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return float2(sum.x + sum.y, sum.z + sum.w);
}

/// max and + over the lanes of one query.
inline float query_max(float x) {
  x = max(x, lattice_simd_shuffle_xor(x, 4));
  x = max(x, lattice_simd_shuffle_xor(x, 8));
  return max(x, lattice_simd_shuffle_xor(x, 16));
}
inline float query_sum(float x) {
  x += lattice_simd_shuffle_xor(x, 4);
  x += lattice_simd_shuffle_xor(x, 8);
  return x + lattice_simd_shuffle_xor(x, 16);
}

/// The running softmax of a lane's query: maximum, its keys' Σ exp, and Σ exp · value as two columns, high and low.
struct Softmax {
  float maximum;
  float total;
  float4 values[kMaxSpans][4];  // of dimensions 2i and 2i + 1 of eight
};

/// The right operand of the weights: of four keys as a lane has values, and a column's query, high or low.
inline uint2 weights_operand(float2 weights, uint lane) {
  const ushort from = ushort(lane % 4 * 8 + lane / 8);
  const float a = lattice_simd_shuffle(weights.x, from);
  const float b = lattice_simd_shuffle(weights.x, ushort(from + 4));
  const float c = lattice_simd_shuffle(weights.y, from);
  const float d = lattice_simd_shuffle(weights.y, ushort(from + 4));
  const bool low = lane / 4 % 2 != 0;
  return uint2(halves_of(a, b, low), halves_of(c, d, low));
}

inline void add_values(thread const ValueTile& tile, uint2 weights, uint lane, thread Softmax& softmax) {
#pragma unroll
  for (uint j = 0; j < kSpans; ++j) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const uint a = tile.rows[0][j][i];
      const uint b = tile.rows[1][j][i];
      const uint c = tile.rows[2][j][i];
      const uint d = tile.rows[3][j][i];
      const uint4 pairs = uint4((a & 0xffffu) | b << 16, a >> 16 | (b & 0xffff0000u), (c & 0xffffu) | d << 16,
                                c >> 16 | (d & 0xffff0000u));
      softmax.values[j][i] = lattice_multiply_halves(pairs, weights, softmax.values[j][i], lane);
    }
  }
}

/// Takes scores into the softmax, of which those beyond `count` of the tile's keys are none. Returns their weights.
inline float2 weigh(float2 scores, uint count, uint lane, thread Softmax& softmax) {
  if (lane / 4 >= count) scores.x = -INFINITY;
  if (lane / 4 + 8 >= count) scores.y = -INFINITY;
  const float maximum = max(softmax.maximum, query_max(max(scores.x, scores.y)));
  if (simd_any(maximum > softmax.maximum)) {
    const float fade = precise::exp(softmax.maximum - maximum);
    softmax.total *= fade;
#pragma unroll
    for (uint j = 0; j < kSpans; ++j) {
#pragma unroll
      for (uint i = 0; i < 4; ++i) softmax.values[j][i] *= fade;
    }
    softmax.maximum = maximum;
  }
  const float2 weights = float2(precise::exp(scores.x - maximum), precise::exp(scores.y - maximum));
  softmax.total += weights.x + weights.y;
  return weights;
}

/// What the simdgroups have of one dimension of a span.
inline float joined_sum(threadgroup const float* own) {
  float sum = 0;
#pragma unroll
  for (uint s = 0; s < kSimdgroups; ++s) sum += own[s * kQueries * kSpanStride];
  return sum;
}

}  // namespace lattice_gpu

/// As attention_decode, but for threadgroups: (parts, kv_heads · ⌈GROUP / QUERIES⌉), of SIMDGROUPS · 32 threads; head_dim is a
/// multiple of 64, and SIMDGROUPS at most 8.
[[kernel, max_total_threads_per_threadgroup(256)]] void attention_decode_halves(
    device const StepState& step [[buffer(0)]], device const float* projections [[buffer(1)]],
    device const float* q_norm [[buffer(2)]], device const float* k_norm [[buffer(3)]],
    device const float2* low_angles [[buffer(4)]], device const float2* high_angles [[buffer(5)]],
    device half* keys [[buffer(6)]], device half* values [[buffer(7)]], device float* out [[buffer(8)]],
    device float* partial [[buffer(9)]], constant AttentionArgs& args [[buffer(10)]],
    uint2 place [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 queries[kMaxQueries * kMaxHeadDim / 4];
  threadgroup uint2 operands[2 * kMaxSteps * 32];
  threadgroup float4 meeting[kMeetingFloats / 4];
  threadgroup float own_key[kMaxHeadDim];
  threadgroup uint4 own_halves[2 * kMaxHeadDim / 8];  // key and value
  threadgroup float2 states[kMaxSimdgroups * kMaxQueries];  // maximum and total of each simdgroup and query
  threadgroup float totals[kMaxQueries];

  lattice_allow_next();
  const HeadDims dims = {kLaneDims, kRotaryDim};
  const uint part = place.x;
  const uint kv_head = place.y / max(kSets, 1u);
  const uint set = place.y % max(kSets, 1u);
  const uint first_head = kv_head * kGroup + set * kQueries;
  const uint heads = min(kQueries, kGroup - set * kQueries);
  const uint position = uint(step.position);
  const uint count = position + 1;
  const KeyRange range = range_of(part, args.parts, count);
  device half* head_keys = keys + ulong(kv_head) * args.capacity * kDim;
  device half* head_values = values + ulong(kv_head) * args.capacity * kDim;
  const uint stored = min(range.last, position);  // rows before it are of earlier submissions
  uint first = range.first + simdgroup * kTileKeys;
  KeyTile key_tile;
  ValueTile value_tile;
  load_keys(head_keys, first, stored, lane, key_tile);
  load_values(head_values, first, stored, lane, value_tile);
  for (uint i = thread_index; i < 2 * kSteps * 32; i += kThreads) {
    if (i % 32 / 8 >= heads) operands[i] = uint2(0);
  }
  const uint key_task = heads;  // of simdgroups: the queries, and as one more of them the token's own key
  HeadVectors vectors =
      load_head_vectors(simdgroup == key_task ? k_norm : q_norm, low_angles, high_angles, dims, position, lane);
  lattice_wait_for_inputs();

  const bool owns_last = range.last == count && range.first < count;
  float own_value[kMaxLaneDims];  // asked for before the norms
  if (owns_last && simdgroup == key_task % kSimdgroups) {
#pragma unroll
    for (uint n = 0; n < kLaneDims; ++n) own_value[n] = projections[args.v_offset + kv_head * kDim + lane + 32 * n];
  }
  for (uint g = simdgroup; g < key_task + (owns_last ? 1 : 0); g += kSimdgroups) {
    const bool is_key = g == key_task;
    if (g != simdgroup) vectors = load_head_vectors(is_key ? k_norm : q_norm, low_angles, high_angles, dims, position, lane);
    const uint at = is_key ? args.k_offset + kv_head * kDim : (first_head + g) * 2 * kDim;
    threadgroup float* query = reinterpret_cast<threadgroup float*>(queries) + g * kDim;
    norm_and_rotate(projections + at, vectors, dims, args.epsilon, lane, is_key ? own_key : query);
    simdgroup_barrier(mem_flags::mem_threadgroup);
    if (!is_key) {
      store_query(query, g, args.scale, lane, operands);
      continue;
    }
    threadgroup half* own = reinterpret_cast<threadgroup half*>(own_halves);
#pragma unroll
    for (uint n = 0; n < kLaneDims; ++n) {
      const uint i = lane + 32 * n;
      const half key = kept<half>(own_key[i]);
      const half value = kept<half>(own_value[n]);
      own[i] = key;
      own[kMaxHeadDim + i] = value;
      if (set != 0) continue;  // one of them keeps it
      head_keys[ulong(position) * kDim + i] = key;
      head_values[ulong(position) * kDim + i] = value;
    }
  }
  float gates[kMaxSpans][kMaxOutputs];  // asked for before they are needed
  if (args.parts == 1) {
#pragma unroll
    for (uint j = 0; j < kSpans; ++j) {
#pragma unroll
      for (uint n = 0; n < kOutputs; ++n) {
        const uint i = thread_index + n * kThreads;
        const uint query = min(i / kSpanDims, heads - 1);
        gates[j][n] = projections[(first_head + query) * 2 * kDim + kDim + j * kSpanDims + i % kSpanDims];
      }
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  Softmax softmax;
  softmax.maximum = -INFINITY;
  softmax.total = 0;
#pragma unroll
  for (uint j = 0; j < kSpans; ++j) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) softmax.values[j][i] = float4(0);
  }
  threadgroup const half* own = reinterpret_cast<threadgroup const half*>(own_halves);
  for (; first < range.last; first += kSimdgroups * kTileKeys) {
    const uint next = first + kSimdgroups * kTileKeys;
    if (first + kTileKeys > position) take_own(own, own + kMaxHeadDim, first, position, lane, key_tile, value_tile);
    const float2 scores = scores_of(key_tile, operands, lane);
    if (next < stored) load_keys(head_keys, next, stored, lane, key_tile);
    const float2 weights = weigh(scores, range.last - first, lane, softmax);
    add_values(value_tile, weights_operand(weights, lane), lane, softmax);
    if (next < stored) load_values(head_values, next, stored, lane, value_tile);
  }

  // The simdgroups' states meet, and then their values, scaled to the common maximum: as many spans at a time as there is room for.
  softmax.total = query_sum(softmax.total);
  if (lane < kMaxQueries) states[simdgroup * kMaxQueries + lane] = float2(softmax.maximum, softmax.total);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float2 state = lane / 4 < kSimdgroups ? states[lane] : float2(-INFINITY, 0.0f);
  const float maximum = query_max(state.x);
  const float total = query_sum(state.y > 0 ? state.y * precise::exp(state.x - maximum) : 0.0f);
  const float fade = softmax.total > 0 ? precise::exp(softmax.maximum - maximum) : 0.0f;
  const uint row_stride = args.parts * (kDim + 2);  // of queries
  device float* rows = partial + ulong(first_head * args.parts + part) * (kDim + 2);
  if (simdgroup == 0 && lane < kMaxQueries) totals[lane] = total;
  if (args.parts > 1 && simdgroup == 0 && lane < heads) {
    rows[ulong(lane) * row_stride + kDim] = maximum;
    rows[ulong(lane) * row_stride + kDim + 1] = total;
  }
  const bool has_query = lane % 4 < kQueries;
  const uint own_place = (simdgroup * kQueries + lane % 4) * kSpanStride + lane / 4 * 8;
  float inverse_totals[kMaxOutputs];
#pragma unroll
  for (uint first_span = 0; first_span < kSpans; first_span += kSpansTogether) {
    const uint spans = min(kSpans - first_span, kSpansTogether);
    if (first_span > 0) threadgroup_barrier(mem_flags::mem_threadgroup);  // until the spans before are read
#pragma unroll
    for (uint t = 0; t < spans; ++t) {
      threadgroup float4* own_sums = meeting + (t * kSpanFloats + own_place) / 4;
#pragma unroll
      for (uint n = 0; n < 2; ++n) {
        const float4 a = softmax.values[first_span + t][2 * n];
        const float4 b = softmax.values[first_span + t][2 * n + 1];
        if (has_query) own_sums[n] = float4(a.x + a.y, a.z + a.w, b.x + b.y, b.z + b.w) * fade;
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (first_span == 0) {
#pragma unroll
      for (uint n = 0; n < kOutputs; ++n) inverse_totals[n] = 1 / totals[min((thread_index + n * kThreads) / kSpanDims, heads - 1)];
    }
#pragma unroll
    for (uint n = 0; n < kOutputs; ++n) {
      const uint i = thread_index + n * kThreads;
      const uint query = i / kSpanDims;
      if (query >= heads) break;
      float sums[kMaxSpans];
#pragma unroll
      for (uint t = 0; t < spans; ++t) {
        sums[t] = joined_sum(reinterpret_cast<threadgroup const float*>(meeting) + t * kSpanFloats + query * kSpanStride +
                             i % kSpanDims);
      }
      const uint dim = first_span * kSpanDims + i % kSpanDims;
      if (args.parts > 1) {
#pragma unroll
        for (uint t = 0; t < spans; ++t) rows[ulong(query) * row_stride + dim + t * kSpanDims] = sums[t];
        continue;
      }
#pragma unroll
      for (uint t = 0; t < spans; ++t) sums[t] *= sigmoid(gates[first_span + t][n]) * inverse_totals[n];
      store_values(kToPlanes, sums, spans, (first_head + query) * kDim + dim, kSpanDims, args.heads * kDim, out);
    }
  }
}
