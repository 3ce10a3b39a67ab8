// One token through the Gated DeltaNet mixers' heads: convolution and SiLU, l2 norms, gates, the delta rule, the gated
// norm. A threadgroup owns a V head. Four lanes own a row of its state, so that a row's sums meet in two steps and the state, which
// is most of what this step moves, is read and written once, in 16-byte pieces; its first rows are asked for, and the convolution's
// history summed, before the projections are there.
//
// With s a row of the old state (one value channel), the step of Yang et al., "Gated Delta Networks" (2024), in one pass:
//   p = s·k, r = s·q;  u = β (v − γ p);  o = γ r + (k·q) u;  s ← γ s + u k

#include <metal_stdlib>

#include "activations.h"
#include "hints.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

constant uint kVectors [[function_constant(LATTICE_FC_VECTORS)]];
constant uint kTaps [[function_constant(LATTICE_FC_TAPS)]];
constant uint kKeyHeads [[function_constant(LATTICE_FC_K_HEADS)]];  // constants, since divisions by them are costly
constant uint kValueHeads [[function_constant(LATTICE_FC_V_HEADS)]];

constant constexpr uint kMaxHeadDim = 256;
constant constexpr float kL2Epsilon = 1e-6f;  // Hugging Face's l2norm, inside the sum
constant constexpr uint kRowLanes = 4;
constant constexpr uint kMaxLaneVectors = kMaxHeadDim / 4 / kRowLanes;

namespace lattice_gpu {

/// What the tokens before add to the causal convolution of one channel. The ring holds the last inputs, that of position p in
/// row p % taps; a token's own input comes from the projections.
inline float convolve_history(device const float* taps, device const float* ring, uint channel, uint channels,
                              uint position) {
  float sum = 0;
#pragma unroll
  for (uint j = 0; j + 1 < kTaps; ++j) {
    const uint back = kTaps - 1 - j;
    if (position >= back) {
      sum += taps[j * channels + channel] * ring[((position - back) % kTaps) * channels + channel];
    }
  }
  return sum;
}

/// Σ values[i]² over `n` values, in every lane of the calling simdgroup.
inline float simd_squares(threadgroup const float* values, uint n, uint lane) {
  float sum = 0;
  for (uint i = lane; i < n; i += 32) sum += values[i] * values[i];
  return lattice_simd_sum(sum);
}

/// The sum over the four lanes of a row, in each of them.
inline float row_sum(float x) {
  x += lattice_simd_shuffle_xor(x, 1);
  return x + lattice_simd_shuffle_xor(x, 2);
}

/// A lane's vectors of one row: `part`, `part` + 4, ….
inline void load_row(device const float4* row, uint part, thread float4* out) {
#pragma unroll
  for (uint i = 0; i * kRowLanes < kVectors; ++i) {
    const uint v = i * kRowLanes + part;
    out[i] = v < kVectors ? row[v] : float4(0.0f);
  }
}

}  // namespace lattice_gpu

/// projections [qkv | z | b | a] of one token → out [v_heads · head_dim]; advances ring [taps, C] and
/// state [v_heads, head_dim (v), head_dim (k)]. Threadgroups: v_heads of SIMDGROUPS · 32 threads. head_dim is 4 · VECTORS, at
/// most 256.
[[kernel, max_total_threads_per_threadgroup(512)]] void gdn_step(
    device const StepState& step [[buffer(0)]], device const float* projections [[buffer(1)]],
    device const float* taps [[buffer(2)]], device const float* decay_rate [[buffer(3)]],
    device const float* dt_bias [[buffer(4)]], device const float* norm [[buffer(5)]],
    device float* ring [[buffer(6)]], device float* state [[buffer(7)]], device float* out [[buffer(8)]],
    constant GdnArgs& args [[buffer(9)]], uint head [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 inputs[3 * kMaxHeadDim / 4];  // q, k and v
  threadgroup float own_taps[3 * kMaxHeadDim];     // of the token's own inputs
  threadgroup float o[kMaxHeadDim];

  lattice_allow_next();
  const uint dim = kVectors * 4;
  const uint threads = kSimdgroups * 32;
  const uint per_k_head = kValueHeads / kKeyHeads;
  const uint k_head = args.tiled != 0 ? head % kKeyHeads : head / per_k_head;
  const bool owns_k_head = (args.tiled != 0 ? head / kKeyHeads : head % per_k_head) == 0;
  const uint k_dim = kKeyHeads * dim;
  const uint channels = 2 * k_dim + kValueHeads * dim;
  const uint position = uint(step.position);
  const uint slot = (position % kTaps) * channels;

  const uint teams = threads / kRowLanes;
  const uint team = thread_index / kRowLanes;
  const uint part = thread_index % kRowLanes;
  device float4* rows = reinterpret_cast<device float4*>(state + ulong(head) * dim * dim);
  float4 s[kMaxLaneVectors] = {};
  if (team < dim) load_row(rows + team * kVectors, part, s);

  threadgroup float* qkv = reinterpret_cast<threadgroup float*>(inputs);
  const uint first_channel[3] = {k_head * dim, k_dim + k_head * dim, 2 * k_dim + head * dim};
  for (uint i = thread_index; i < 3 * dim; i += threads) {
    const uint channel = (i < dim ? first_channel[0] : i < 2 * dim ? first_channel[1] : first_channel[2]) + i % dim;
    qkv[i] = convolve_history(taps, ring, channel, channels, position);
    own_taps[i] = taps[(kTaps - 1) * channels + channel];
  }
  const float rate = decay_rate[head];
  const float bias = dt_bias[head];
  lattice_wait_for_inputs();

  // All of the input is asked for before any of it is used.
  const float b = projections[args.b_offset + head];
  const float a = projections[args.a_offset + head];
  device const float* z = projections + args.z_offset + head * dim;
  const float first_z = thread_index < dim ? z[thread_index] : 0.0f;
  for (uint i = thread_index; i < 3 * dim; i += threads) {
    const uint channel = (i < dim ? first_channel[0] : i < 2 * dim ? first_channel[1] : first_channel[2]) + i % dim;
    const float input = projections[channel];
    qkv[i] = silu(qkv[i] + own_taps[i] * input);
    // V heads share their K head's channels: one of them keeps the input. None reads the row that it writes.
    if (i >= 2 * dim || owns_k_head) ring[slot + channel] = input;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const float beta = sigmoid(b);
  const float decay = precise::exp(rate * softplus(a + bias));
  threadgroup const float4* q_vectors = inputs;
  threadgroup const float4* k_vectors = inputs + kVectors;
  float qq = 0;
  float kk = 0;
  float kq = 0;
  for (uint i = lane; i < kVectors; i += 32) {  // in every simdgroup, which costs less than to meet once more
    qq += dot(q_vectors[i], q_vectors[i]);
    kk += dot(k_vectors[i], k_vectors[i]);
    kq += dot(k_vectors[i], q_vectors[i]);
  }
  const float q_norm = precise::rsqrt(lattice_simd_sum(qq) + kL2Epsilon) * precise::rsqrt(float(dim));
  const float k_norm = precise::rsqrt(lattice_simd_sum(kk) + kL2Epsilon);
  kq = lattice_simd_sum(kq) * q_norm * k_norm;
  for (uint first = 0; first < dim; first += teams) {
    const uint row = first + team;
    const bool active = row < dim;  // every lane takes part in the sums
    if (active && first > 0) load_row(rows + row * kVectors, part, s);
    float predicted = 0;
    float read = 0;
#pragma unroll
    for (uint i = 0; i * kRowLanes < kVectors; ++i) {
      const uint v = i * kRowLanes + part;
      const float4 k = v < kVectors ? k_vectors[v] : float4(0.0f);
      const float4 q = v < kVectors ? q_vectors[v] : float4(0.0f);
      predicted += dot(s[i], k);
      read += dot(s[i], q);
    }
    predicted = row_sum(predicted) * k_norm;
    read = row_sum(read) * q_norm;
    if (!active) continue;
    const float u = beta * (qkv[2 * dim + row] - decay * predicted);
#pragma unroll
    for (uint i = 0; i * kRowLanes < kVectors; ++i) {
      const uint v = i * kRowLanes + part;
      if (v < kVectors) rows[row * kVectors + v] = decay * s[i] + (u * k_norm) * k_vectors[v];
    }
    if (part == 0) o[row] = decay * read + kq * u;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const float factor = precise::rsqrt(simd_squares(o, dim, lane) / float(dim) + args.epsilon);
  for (uint i = thread_index; i < dim; i += threads) {
    out[head * dim + i] = o[i] * factor * norm[i] * silu(i == thread_index ? first_z : z[i]);
  }
}
