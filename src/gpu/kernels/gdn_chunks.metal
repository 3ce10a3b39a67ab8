// The delta rule over a prompt, in chunks of N = 64 tokens (Yang et al., "Gated Delta Networks", 2024, with the WY form of
// "Parallelizing Linear Transformers with the Delta Rule over Sequence Length", 2024). Per V head and chunk, with c the running
// sum of the log decays:
//
//   L[i][j] = β_i (k_i·k_j) e^{c_i − c_j}, j < i         T = (I + L)⁻¹
//   U = T [β_i v_i]        W = T [β_i e^{c_i} k_i]        A[i][j] = (q_i·k_j) e^{c_i − c_j}, j ≤ i
//   then, chunk by chunk, S the state:   V = U − W S,   o_i = e^{c_i} q_i S + Σ_j A[i][j] V_j,
//                                        S ← e^{c_N} S + Σ_i e^{c_N − c_i} k_i V_iᵀ
//
// U, W and A do not need S: gdn_chunks makes them for all chunks at once. gdn_scan then walks the chunks, a threadgroup
// taking 16 of a head's value channels, which never meet. Every e^{…} has an exponent of at most 0. Between the two stand
//   scaled [v_heads, 4, rows, padded]: U, −W, e^{c_i} q_i and e^{c_N − c_i} k_i
//   scores [v_heads, rows, N]: A
//   decays [v_heads, rows / N]: e^{c_N}
// and `convolved` and `gates` as gdn_prefill.metal has them.

#include <metal_simdgroup_matrix>
#include <metal_stdlib>

#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kVectors [[function_constant(LATTICE_FC_VECTORS)]];
constant uint kPadded = (kVectors * 4 + 7) / 8 * 8;  // dimensions of a head, known so that loops over them unroll
constant uint kTiles = kPadded / 8;

constant constexpr uint kMaxTiles = 256 / 8;
constant constexpr uint kChunk = LATTICE_GDN_CHUNK;
constant constexpr uint kBlocks = kChunk / 8;
constant constexpr uint kSimdgroups = kBlocks;  // each takes a block of 8 tokens
constant constexpr uint kThreads = kSimdgroups * 32;
constant constexpr uint kStride = kChunk + 4;
constant constexpr uint kSlice = 16;  // value channels of a threadgroup of gdn_scan
constant constexpr uint kSliceTiles = kSlice / 8;
constant constexpr uint kSliceStride = kSlice + 4;
constant constexpr uint kStateStride = 256 + 4;
constant uint kOwnTiles = (kTiles + kSimdgroups - 1) / kSimdgroups;  // of the state's columns, a simdgroup's
constant constexpr uint kMaxOwnTiles = kMaxTiles / kSimdgroups;

namespace lattice_gpu {

/// The block of a simdgroup. Those of i and i + 4 have a triangle's rows in equal shares, and run on the same part of a core
/// where simdgroups are dealt out in turn.
inline uint own_block(uint simdgroup) {
  return simdgroup < kBlocks / 2 ? simdgroup : kBlocks + kBlocks / 2 - 1 - simdgroup;
}

/// Blocks of a chunk that have tokens. What would be behind them is neither made nor read.
inline uint blocks_of(device const PromptSpan& span, uint chunk) {
  return (min(uint(span.tokens) - chunk * kChunk, kChunk) + 7) / 8;
}

inline uint k_head_of(uint head, constant GdnPrefillArgs& args) {
  return args.tiled != 0 ? head % args.k_heads : head / (args.v_heads / args.k_heads);
}

/// The simdgroup's rows of q kᵀ and k kᵀ, on and below the diagonal, for q and k [N, padded].
inline void multiply_rows(device const float* q, device const float* k, uint block,
                          thread simdgroup_float8x8* of_q, thread simdgroup_float8x8* of_k) {
#pragma unroll
  for (uint j = 0; j < kBlocks; ++j) of_q[j] = of_k[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
#pragma unroll 4
  for (uint d = 0; d < kPadded; d += 8) {
    simdgroup_float8x8 query;
    simdgroup_float8x8 key;
    simdgroup_load(query, q + block * 8 * kPadded + d, kPadded);
    simdgroup_load(key, k + block * 8 * kPadded + d, kPadded);
#pragma unroll
    for (uint j = 0; j < kBlocks; ++j) {
      if (j > block) continue;
      simdgroup_float8x8 right;
      simdgroup_load(right, k + j * 8 * kPadded + d, kPadded, ulong2(0, 0), true);
      simdgroup_multiply_accumulate(of_q[j], query, right, of_q[j]);
      simdgroup_multiply_accumulate(of_k[j], key, right, of_k[j]);
    }
  }
}

/// Leaves a simdgroup's rows where all its lanes can read them.
inline void store_rows(thread const simdgroup_float8x8* products, uint block, threadgroup float* m) {
#pragma unroll
  for (uint j = 0; j < kBlocks; ++j) {
    if (j <= block) simdgroup_store(products[j], m + block * 8 * kStride + j * 8, kStride);
  }
  simdgroup_barrier(mem_flags::mem_threadgroup);
}

/// m holds −L. Makes T = (I + L)⁻¹ of it, by blocks of 8: T's block (i, j) takes the place of block (j, i), which L does not use; its
/// diagonal blocks take L's. Block forward substitution: T_ij = −T_ii Σ_{j ≤ k < i} L_ik T_kj.
inline void invert(threadgroup float* m, uint blocks, uint thread_index, uint simdgroup) {
  const uint corner = thread_index / 8 * 8 * (kStride + 1);  // of a diagonal block, a thread a column
  const uint column = thread_index % 8;
  float x[8];
  if (thread_index < blocks * 8) {
    for (uint r = 0; r < 8; ++r) {
      x[r] = r == column ? 1.0f : 0.0f;
      for (uint k = 0; k < r; ++k) x[r] += m[corner + r * kStride + k] * x[k];
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index < blocks * 8) {
    for (uint r = 0; r < 8; ++r) m[corner + r * kStride + column] = x[r];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const uint j = own_block(simdgroup);  // a column of blocks, which needs no other column
  for (uint i = j + 1; i < blocks; ++i) {
    simdgroup_float8x8 left;
    simdgroup_float8x8 right;
    simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    for (uint k = j; k < i; ++k) {
      simdgroup_load(left, m + i * 8 * kStride + k * 8, kStride);
      simdgroup_load(right, m + j * 8 * kStride + k * 8, kStride);
      simdgroup_multiply_accumulate(sum, left, right, sum);
    }
    simdgroup_load(left, m + i * 8 * kStride + i * 8, kStride);
    simdgroup_multiply(right, left, sum);
    simdgroup_store(right, m + j * 8 * kStride + i * 8, kStride);
    simdgroup_barrier(mem_flags::mem_threadgroup);
  }
}

/// Scales T's columns, as invert() leaves T.
inline void scale_columns(threadgroup float* m, threadgroup const float* factors, uint blocks, uint thread_index) {
  for (uint i = thread_index; i < blocks * 8 * kChunk; i += kThreads) {
    const uint block_row = i / kChunk / 8;  // of where it stands, so its block's column in T
    const uint at = i % kChunk;
    if (block_row <= at / 8 && at < blocks * 8) m[i / kChunk * kStride + at] *= factors[block_row * 8 + at % 8];
  }
}

/// The simdgroup's rows of T x → out, for x and out [N, padded].
inline void multiply_triangle(threadgroup const float* m, device const float* x, uint block, device float* out) {
  constexpr uint kTogether = 8;
#pragma unroll
  for (uint first = 0; first < kTiles; first += kTogether) {
    simdgroup_float8x8 sums[kTogether];
#pragma unroll
    for (uint j = 0; j < kTogether; ++j) sums[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
#pragma unroll 2
    for (uint k = 0; k <= block; ++k) {
      simdgroup_float8x8 left;
      simdgroup_load(left, m + k * 8 * kStride + block * 8, kStride);
#pragma unroll
      for (uint j = 0; j < kTogether; ++j) {
        if (first + j >= kTiles) continue;
        simdgroup_float8x8 right;
        simdgroup_load(right, x + k * 8 * kPadded + (first + j) * 8, kPadded);
        simdgroup_multiply_accumulate(sums[j], left, right, sums[j]);
      }
    }
#pragma unroll
    for (uint j = 0; j < kTogether; ++j) {
      if (first + j < kTiles) simdgroup_store(sums[j], out + block * 8 * kPadded + (first + j) * 8, kPadded);
    }
  }
}

/// A simdgroup's columns of k [N, padded].
struct Keys {
  simdgroup_float8x8 tiles[kMaxOwnTiles][kBlocks];

  void load(device const float* k, uint blocks, uint simdgroup) thread {
#pragma unroll
    for (uint n = 0; n < kOwnTiles; ++n) {
      const uint tile = n * kSimdgroups + simdgroup;
#pragma unroll
      for (uint j = 0; j < kBlocks; ++j) {
        if (j < blocks && tile < kTiles) simdgroup_load(tiles[n][j], k + j * 8 * kPadded + tile * 8, kPadded);
      }
    }
  }

  /// s ← decay s + Vᵀ k in these columns, for V [N, 16].
  void advance(threadgroup float* s, threadgroup const float* fresh, float decay, uint blocks, uint simdgroup,
               uint lane) thread {
#pragma unroll
    for (uint n = 0; n < kOwnTiles; ++n) {
      const uint tile = n * kSimdgroups + simdgroup;
      if (tile >= kTiles) continue;
      threadgroup float* columns = s + tile * 8;
      for (uint i = lane; i < kSlice * 8; i += 32) columns[i / 8 * kStateStride + i % 8] *= decay;
      simdgroup_barrier(mem_flags::mem_threadgroup);
      simdgroup_float8x8 sums[kSliceTiles];
#pragma unroll
      for (uint h = 0; h < kSliceTiles; ++h) simdgroup_load(sums[h], columns + h * 8 * kStateStride, kStateStride);
#pragma unroll
      for (uint j = 0; j < kBlocks; ++j) {
        if (j >= blocks) continue;
#pragma unroll
        for (uint h = 0; h < kSliceTiles; ++h) {
          simdgroup_float8x8 value;
          simdgroup_load(value, fresh + j * 8 * kSliceStride + h * 8, kSliceStride, ulong2(0, 0), true);
          simdgroup_multiply_accumulate(sums[h], value, tiles[n][j], sums[h]);
        }
      }
#pragma unroll
      for (uint h = 0; h < kSliceTiles; ++h) simdgroup_store(sums[h], columns + h * 8 * kStateStride, kStateStride);
    }
  }
};

}  // namespace lattice_gpu

/// convolved, gates → scaled, scores, decays. Threadgroups: (⌈tokens / N⌉, v_heads) of 256 threads.
[[kernel, max_total_threads_per_threadgroup(256)]] void gdn_chunks(
    device const PromptSpan& span [[buffer(0)]], device const float* convolved [[buffer(1)]],
    device const float* gates [[buffer(2)]], device float* scaled [[buffer(3)]], device float* scores [[buffer(4)]],
    device float* decays [[buffer(5)]], constant GdnPrefillArgs& args [[buffer(6)]],
    uint2 place [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float m[kChunk * kStride];
  threadgroup float c[kChunk];
  threadgroup float beta[kChunk];
  threadgroup float factors[kChunk];

  const uint chunk = place.x;
  const uint head = place.y;
  if (chunk * kChunk >= uint(span.tokens)) return;
  const uint blocks = blocks_of(span, chunk);
  const uint block = own_block(simdgroup);
  const bool idle = block >= blocks;
  const uint first = chunk * kChunk;
  const uint k_head = k_head_of(head, args);
  const ulong head_size = ulong(args.rows) * kPadded;
  const uint at = first * kPadded;
  device const float* q = convolved + k_head * head_size + at;
  device const float* k = convolved + (args.k_heads + k_head) * head_size + at;
  device const float* v = convolved + (2 * args.k_heads + head) * head_size + at;
  device float* u = scaled + head * 4 * head_size + at;
  device float* w = u + head_size;
  device float* q_scaled = w + head_size;
  device float* k_scaled = q_scaled + head_size;

  if (simdgroup == 0) {
    device const float* own_beta = gates + head * args.rows + first;
    device const float* log_decay = own_beta + args.v_heads * args.rows;
    float before = 0;
    for (uint i = lane; i < kChunk; i += 32) {
      const float sum = before + simd_prefix_inclusive_sum(log_decay[i]);
      c[i] = sum;
      before = simd_broadcast(sum, 31);
      beta[i] = own_beta[i];
    }
    if (lane == 0) decays[head * (args.rows / kChunk) + chunk] = precise::exp(before);
  }
  simdgroup_float8x8 of_q[kBlocks];
  simdgroup_float8x8 of_k[kBlocks];
  if (!idle) multiply_rows(q, k, block, of_q, of_k);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (!idle) {
    device float* a = scores + (ulong(head) * args.rows + first) * kChunk;
    store_rows(of_q, block, m);
    for (uint i = lane; i < 8 * kChunk; i += 32) {
      const uint row = block * 8 + i / kChunk;
      const uint col = i % kChunk;
      a[row * kChunk + col] = col <= row ? m[row * kStride + col] * precise::exp(c[row] - c[col]) : 0.0f;
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);
    store_rows(of_k, block, m);
    for (uint i = lane; i < 8 * kChunk; i += 32) {
      const uint row = block * 8 + i / kChunk;
      const uint col = i % kChunk;
      threadgroup float& entry = m[row * kStride + col];
      entry = col < row ? -beta[row] * entry * precise::exp(c[row] - c[col]) : 0.0f;
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  invert(m, blocks, thread_index, simdgroup);
  threadgroup_barrier(mem_flags::mem_threadgroup);

  scale_columns(m, beta, blocks, thread_index);
  if (thread_index < kChunk) factors[thread_index] = -precise::exp(c[thread_index]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (!idle) multiply_triangle(m, v, block, u);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  scale_columns(m, factors, blocks, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (!idle) multiply_triangle(m, k, block, w);
  for (uint i = thread_index; i < blocks * 8 * kPadded; i += kThreads) {
    const uint row = i / kPadded;
    q_scaled[i] = q[i] * precise::exp(c[row]);
    k_scaled[i] = k[i] * precise::exp(c[kChunk - 1] - c[row]);
  }
}

/// scaled, scores, decays → the heads' outputs in U's place, and state [v_heads, head_dim (v), head_dim (k)] advanced.
/// Threadgroups: (⌈head_dim / 16⌉, v_heads) of 256 threads.
///
/// A simdgroup has its block's rows of V and of the outputs, and the state's columns simdgroup · 8, + 64, … of both tiles of
/// channels. What it reads from memory does not depend on the state, so that all of it is asked for before it is needed.
[[kernel, max_total_threads_per_threadgroup(256)]] void gdn_scan(
    device const PromptSpan& span [[buffer(0)]], device float* scaled [[buffer(1)]],
    device const float* scores [[buffer(2)]], device const float* decays [[buffer(3)]],
    device float* state [[buffer(4)]], constant GdnPrefillArgs& args [[buffer(5)]],
    uint2 place [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float s[kSlice * kStateStride];      // [value channel][k], zero where there is none
  threadgroup float fresh[kChunk * kSliceStride];  // V, [token][value channel]

  const uint dim = args.head_dim;
  const uint head = place.y;
  const uint first_channel = place.x * kSlice;
  const uint block = own_block(simdgroup);
  const ulong head_size = ulong(args.rows) * kPadded;
  device float* own_state = state + ulong(head) * dim * dim;
  for (uint i = thread_index; i < kSlice * kPadded; i += kThreads) {
    const uint channel = first_channel + i / kPadded;
    const uint col = i % kPadded;
    s[i / kPadded * kStateStride + col] = channel < dim && col < dim ? own_state[channel * dim + col] : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  for (uint chunk = 0; chunk * kChunk < uint(span.tokens); ++chunk) {
    device float* u = scaled + head * 4 * head_size + chunk * kChunk * kPadded;
    device const float* w = u + head_size;
    device const float* q = w + head_size;
    device const float* k = q + head_size;
    device const float* a = scores + (ulong(head) * args.rows + chunk * kChunk) * kChunk;
    const uint blocks = blocks_of(span, chunk);
    const bool idle = block >= blocks;

    simdgroup_float8x8 outputs[kSliceTiles];
    simdgroup_float8x8 weights[kBlocks];
    Keys keys;
    keys.load(k, blocks, simdgroup);
    if (!idle) {
#pragma unroll
      for (uint j = 0; j < kBlocks; ++j) {
        if (j <= block) simdgroup_load(weights[j], a + block * 8 * kChunk + j * 8, kChunk);
      }
      simdgroup_float8x8 values[kSliceTiles];
#pragma unroll
      for (uint h = 0; h < kSliceTiles; ++h) {
        outputs[h] = values[h] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        const uint channel = first_channel + h * 8;
        if (channel < kPadded) simdgroup_load(values[h], u + block * 8 * kPadded + channel, kPadded);
      }
      simdgroup_float8x8 of_w[kMaxTiles];
      simdgroup_float8x8 of_q[kMaxTiles];
#pragma unroll
      for (uint d = 0; d < kTiles; ++d) {
        simdgroup_load(of_w[d], w + block * 8 * kPadded + d * 8, kPadded);
        simdgroup_load(of_q[d], q + block * 8 * kPadded + d * 8, kPadded);
      }
#pragma unroll
      for (uint d = 0; d < kTiles; ++d) {
#pragma unroll
        for (uint h = 0; h < kSliceTiles; ++h) {
          simdgroup_float8x8 columns;
          simdgroup_load(columns, s + h * 8 * kStateStride + d * 8, kStateStride, ulong2(0, 0), true);
          simdgroup_multiply_accumulate(values[h], of_w[d], columns, values[h]);
          simdgroup_multiply_accumulate(outputs[h], of_q[d], columns, outputs[h]);
        }
      }
#pragma unroll
      for (uint h = 0; h < kSliceTiles; ++h) {
        simdgroup_store(values[h], fresh + block * 8 * kSliceStride + h * 8, kSliceStride);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    if (!idle) {
#pragma unroll
      for (uint j = 0; j < kBlocks; ++j) {
        if (j > block) continue;
#pragma unroll
        for (uint h = 0; h < kSliceTiles; ++h) {
          simdgroup_float8x8 value;
          simdgroup_load(value, fresh + j * 8 * kSliceStride + h * 8, kSliceStride);
          simdgroup_multiply_accumulate(outputs[h], weights[j], value, outputs[h]);
        }
      }
#pragma unroll
      for (uint h = 0; h < kSliceTiles; ++h) {
        const uint channel = first_channel + h * 8;
        if (channel < kPadded) simdgroup_store(outputs[h], u + block * 8 * kPadded + channel, kPadded);
      }
    }
    keys.advance(s, fresh, decays[head * (args.rows / kChunk) + chunk], blocks, simdgroup, lane);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  for (uint i = thread_index; i < kSlice * kPadded; i += kThreads) {
    const uint channel = first_channel + i / kPadded;
    const uint col = i % kPadded;
    if (channel < dim && col < dim) own_state[channel * dim + col] = s[i / kPadded * kStateStride + col];
  }
}
