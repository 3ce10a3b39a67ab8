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

constant constexpr uint kChunk = LATTICE_GDN_CHUNK;
constant constexpr uint kBlocks = kChunk / 8;
constant constexpr uint kSimdgroups = 4;  // each takes the blocks `simdgroup` and `7 − simdgroup`: of a triangle, equal shares
constant constexpr uint kThreads = kSimdgroups * 32;
constant constexpr uint kStride = kChunk + 4;
constant constexpr uint kSlice = 16;  // value channels of a threadgroup of gdn_scan
constant constexpr uint kSliceStride = kSlice + 4;
constant constexpr uint kStateStride = 256 + 4;
static_assert(kBlocks == 2 * kSimdgroups, "two blocks of rows a simdgroup");

namespace lattice_gpu {

inline uint own_block(uint simdgroup, uint turn) {
  return turn == 0 ? simdgroup : kBlocks - 1 - simdgroup;
}

/// Blocks of a chunk that have tokens. What would be behind them is neither made nor read.
inline uint blocks_of(device const PromptSpan& span, uint chunk) {
  return (min(uint(span.tokens) - chunk * kChunk, kChunk) + 7) / 8;
}

inline uint k_head_of(uint head, constant GdnPrefillArgs& args) {
  return args.tiled != 0 ? head % args.k_heads : head / (args.v_heads / args.k_heads);
}

/// The blocks on and below the diagonal of a bᵀ → out, for a and b [N, padded].
inline void multiply_rows(device const float* a, device const float* b, uint padded, uint blocks, uint simdgroup,
                          threadgroup float* out) {
  for (uint turn = 0; turn < 2; ++turn) {
    const uint block = own_block(simdgroup, turn);
    if (block >= blocks) continue;
    simdgroup_float8x8 sums[kBlocks];
#pragma unroll
    for (uint j = 0; j < kBlocks; ++j) sums[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    for (uint d = 0; d < padded; d += 8) {
      simdgroup_float8x8 left;
      simdgroup_load(left, a + block * 8 * padded + d, padded);
#pragma unroll
      for (uint j = 0; j < kBlocks; ++j) {
        if (j > block) continue;
        simdgroup_float8x8 right;
        simdgroup_load(right, b + j * 8 * padded + d, padded, ulong2(0, 0), true);
        simdgroup_multiply_accumulate(sums[j], left, right, sums[j]);
      }
    }
#pragma unroll
    for (uint j = 0; j < kBlocks; ++j) {
      if (j <= block) simdgroup_store(sums[j], out + block * 8 * kStride + j * 8, kStride);
    }
  }
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

  for (uint turn = 0; turn < 2; ++turn) {
    const uint j = own_block(simdgroup, turn);  // a column of blocks, which needs no other column
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
}

/// Scales T's columns, as invert() leaves T.
inline void scale_columns(threadgroup float* m, threadgroup const float* factors, uint blocks, uint thread_index) {
  for (uint i = thread_index; i < blocks * 8 * kChunk; i += kThreads) {
    const uint block_row = i / kChunk / 8;  // of where it stands, so its block's column in T
    const uint at = i % kChunk;
    if (block_row <= at / 8 && at < blocks * 8) m[i / kChunk * kStride + at] *= factors[block_row * 8 + at % 8];
  }
}

/// T x → out, for x and out [N, padded].
inline void multiply_triangle(threadgroup const float* m, device const float* x, uint padded, uint blocks, uint simdgroup,
                              device float* out) {
  constexpr uint kTogether = 4;
  for (uint turn = 0; turn < 2; ++turn) {
    const uint block = own_block(simdgroup, turn);
    if (block >= blocks) continue;
    for (uint first = 0; first < padded; first += 8 * kTogether) {
      simdgroup_float8x8 sums[kTogether];
#pragma unroll
      for (uint j = 0; j < kTogether; ++j) sums[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
      for (uint k = 0; k <= block; ++k) {
        simdgroup_float8x8 left;
        simdgroup_load(left, m + k * 8 * kStride + block * 8, kStride);
#pragma unroll
        for (uint j = 0; j < kTogether; ++j) {
          if (first + j * 8 >= padded) continue;
          simdgroup_float8x8 right;
          simdgroup_load(right, x + k * 8 * padded + first + j * 8, padded);
          simdgroup_multiply_accumulate(sums[j], left, right, sums[j]);
        }
      }
#pragma unroll
      for (uint j = 0; j < kTogether; ++j) {
        if (first + j * 8 < padded) simdgroup_store(sums[j], out + block * 8 * padded + first + j * 8, padded);
      }
    }
  }
}

/// s += Vᵀ k, for V [N, 16] and k [N, padded].
inline void add_products(threadgroup float* s, threadgroup const float* fresh, device const float* k, uint padded,
                         uint blocks, uint simdgroup) {
  for (uint tile = simdgroup; tile < 2 * (padded / 8); tile += kSimdgroups) {
    threadgroup float* entries = s + tile % 2 * 8 * kStateStride + tile / 2 * 8;
    simdgroup_float8x8 sum;
    simdgroup_load(sum, entries, kStateStride);
    for (uint j = 0; j < blocks; ++j) {
      simdgroup_float8x8 value;
      simdgroup_float8x8 key;
      simdgroup_load(value, fresh + j * 8 * kSliceStride + tile % 2 * 8, kSliceStride, ulong2(0, 0), true);
      simdgroup_load(key, k + j * 8 * padded + tile / 2 * 8, padded);
      simdgroup_multiply_accumulate(sum, value, key, sum);
    }
    simdgroup_store(sum, entries, kStateStride);
  }
}

}  // namespace lattice_gpu

/// convolved, gates → scaled, scores, decays. Threadgroups: (⌈tokens / N⌉, v_heads) of 128 threads.
[[kernel, max_total_threads_per_threadgroup(128)]] void gdn_chunks(
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
  const uint padded = args.padded_dim;
  const uint blocks = blocks_of(span, chunk);
  const uint first = chunk * kChunk;
  const uint k_head = k_head_of(head, args);
  const ulong head_size = ulong(args.rows) * padded;
  const uint at = first * padded;
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
  multiply_rows(q, k, padded, blocks, simdgroup, m);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  device float* a = scores + (ulong(head) * args.rows + first) * kChunk;
  for (uint i = thread_index; i < blocks * 8 * kChunk; i += kThreads) {
    const uint row = i / kChunk;
    const uint col = i % kChunk;
    a[i] = col <= row ? m[row * kStride + col] * precise::exp(c[row] - c[col]) : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  multiply_rows(k, k, padded, blocks, simdgroup, m);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < blocks * 8 * kChunk; i += kThreads) {
    const uint row = i / kChunk;
    const uint col = i % kChunk;
    threadgroup float& entry = m[row * kStride + col];
    entry = col < row ? -beta[row] * entry * precise::exp(c[row] - c[col]) : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  invert(m, blocks, thread_index, simdgroup);
  threadgroup_barrier(mem_flags::mem_threadgroup);

  scale_columns(m, beta, blocks, thread_index);
  for (uint i = thread_index; i < kChunk; i += kThreads) factors[i] = -precise::exp(c[i]);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  multiply_triangle(m, v, padded, blocks, simdgroup, u);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  scale_columns(m, factors, blocks, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  multiply_triangle(m, k, padded, blocks, simdgroup, w);
  for (uint i = thread_index; i < blocks * 8 * padded; i += kThreads) {
    const uint row = i / padded;
    q_scaled[i] = q[i] * precise::exp(c[row]);
    k_scaled[i] = k[i] * precise::exp(c[kChunk - 1] - c[row]);
  }
}

/// scaled, scores, decays → the heads' outputs in U's place, and state [v_heads, head_dim (v), head_dim (k)] advanced.
/// Threadgroups: (⌈head_dim / 16⌉, v_heads) of 128 threads.
[[kernel, max_total_threads_per_threadgroup(128)]] void gdn_scan(
    device const PromptSpan& span [[buffer(0)]], device float* scaled [[buffer(1)]],
    device const float* scores [[buffer(2)]], device const float* decays [[buffer(3)]],
    device float* state [[buffer(4)]], constant GdnPrefillArgs& args [[buffer(5)]],
    uint2 place [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float s[kSlice * kStateStride];          // [value channel][k], zero where there is none
  threadgroup float fresh[kChunk * kSliceStride];      // V, [token][value channel]

  const uint dim = args.head_dim;
  const uint padded = args.padded_dim;
  const uint head = place.y;
  const uint first_channel = place.x * kSlice;
  const ulong head_size = ulong(args.rows) * padded;
  device float* own_state = state + ulong(head) * dim * dim;
  for (uint i = thread_index; i < kSlice * padded; i += kThreads) {
    const uint channel = first_channel + i / padded;
    const uint col = i % padded;
    s[i / padded * kStateStride + col] = channel < dim && col < dim ? own_state[channel * dim + col] : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  for (uint chunk = 0; chunk * kChunk < uint(span.tokens); ++chunk) {
    device float* u = scaled + head * 4 * head_size + chunk * kChunk * padded;
    device const float* w = u + head_size;
    device const float* q = w + head_size;
    device const float* k = q + head_size;
    device const float* a = scores + (ulong(head) * args.rows + chunk * kChunk) * kChunk;
    const uint blocks = blocks_of(span, chunk);

    simdgroup_float8x8 values[2][2];  // [block of tokens][block of channels]
    simdgroup_float8x8 outputs[2][2];
#pragma unroll
    for (uint t = 0; t < 2; ++t) {
#pragma unroll
      for (uint h = 0; h < 2; ++h) {
        outputs[t][h] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        values[t][h] = outputs[t][h];
        const uint channel = first_channel + h * 8;
        const uint block = own_block(simdgroup, t);
        if (channel < padded && block < blocks) simdgroup_load(values[t][h], u + block * 8 * padded + channel, padded);
      }
    }
    for (uint d = 0; d < padded; d += 8) {
      simdgroup_float8x8 columns[2];
#pragma unroll
      for (uint h = 0; h < 2; ++h) {
        simdgroup_load(columns[h], s + h * 8 * kStateStride + d, kStateStride, ulong2(0, 0), true);
      }
#pragma unroll
      for (uint t = 0; t < 2; ++t) {
        const uint block = own_block(simdgroup, t);
        if (block >= blocks) continue;
        simdgroup_float8x8 rows;
        simdgroup_load(rows, w + block * 8 * padded + d, padded);
#pragma unroll
        for (uint h = 0; h < 2; ++h) simdgroup_multiply_accumulate(values[t][h], rows, columns[h], values[t][h]);
        simdgroup_load(rows, q + block * 8 * padded + d, padded);
#pragma unroll
        for (uint h = 0; h < 2; ++h) simdgroup_multiply_accumulate(outputs[t][h], rows, columns[h], outputs[t][h]);
      }
    }
#pragma unroll
    for (uint t = 0; t < 2; ++t) {
#pragma unroll
      for (uint h = 0; h < 2; ++h) {
        simdgroup_store(values[t][h], fresh + own_block(simdgroup, t) * 8 * kSliceStride + h * 8, kSliceStride);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    const float decay = decays[head * (args.rows / kChunk) + chunk];
    for (uint i = thread_index; i < kSlice * padded; i += kThreads) s[i / padded * kStateStride + i % padded] *= decay;
#pragma unroll
    for (uint t = 0; t < 2; ++t) {
      const uint block = own_block(simdgroup, t);
      if (block >= blocks) continue;
      for (uint j = 0; j <= block; ++j) {
        simdgroup_float8x8 weights;
        simdgroup_load(weights, a + block * 8 * kChunk + j * 8, kChunk);
#pragma unroll
        for (uint h = 0; h < 2; ++h) {
          simdgroup_float8x8 value;
          simdgroup_load(value, fresh + j * 8 * kSliceStride + h * 8, kSliceStride);
          simdgroup_multiply_accumulate(outputs[t][h], weights, value, outputs[t][h]);
        }
      }
#pragma unroll
      for (uint h = 0; h < 2; ++h) {
        const uint channel = first_channel + h * 8;
        if (channel < padded) simdgroup_store(outputs[t][h], u + block * 8 * padded + channel, padded);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);

    add_products(s, fresh, k, padded, blocks, simdgroup);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  for (uint i = thread_index; i < kSlice * padded; i += kThreads) {
    const uint channel = first_channel + i / padded;
    const uint col = i % padded;
    if (channel < dim && col < dim) own_state[channel * dim + col] = s[i / padded * kStateStride + col];
  }
}
