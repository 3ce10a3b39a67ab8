// One token through the Gated DeltaNet mixers' heads: convolution and SiLU, l2 norms, gates, the delta rule, and the gated
// norm but for its factor, which sees all of a head: PARTS threadgroups share out a V head's rows, and what reads the output scales it
// (head_factor() in head_norm.h). Eight lanes own a row of the state, so that a row's sums meet in three steps and the state, which
// is most of what this step moves, is read and written once, in 16-byte pieces; its first rows are asked for, and the convolution's
// history summed, before the projections are there.
//
// With s a row of the old state (one value channel), the step of Yang et al., "Gated Delta Networks" (2024), in one pass:
//   p = s·k, r = s·q;  u = β (v − γ p);  o = γ r + (k·q) u;  s ← γ s + u k

#include <metal_stdlib>

#include "activations.h"
#include "hints.h"
#include "kernel_args.h"
#include "planes.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

constant uint kVectors [[function_constant(LATTICE_FC_VECTORS)]];
constant uint kTaps [[function_constant(LATTICE_FC_TAPS)]];
constant uint kKeyHeads [[function_constant(LATTICE_FC_K_HEADS)]];  // constants, since divisions by them are costly
constant uint kValueHeads [[function_constant(LATTICE_FC_V_HEADS)]];
constant uint kParts [[function_constant(LATTICE_FC_HEAD_PARTS)]];
constant uint kToPlanes [[function_constant(LATTICE_FC_TO_PLANES)]];  // where PARTS leave whole groups of 32 rows

constant constexpr uint kMaxHeadDim = 256;
constant constexpr float kL2Epsilon = 1e-6f;  // Hugging Face's l2norm, inside the sum
constant constexpr uint kRowLanes = 8;
constant constexpr uint kMaxInputs = 3 * kMaxHeadDim / 32;  // of a thread

constant uint kThreads = max(kSimdgroups, 1u) * 32;
constant uint kTeams = kThreads / kRowLanes;  // of lanes with a row
constant uint kDim = kVectors * 4;
constant uint kHeadRows = kDim / max(kParts, 1u);  // of a threadgroup
constant uint kInputs = 2 * kDim + kHeadRows;      // q, k and the rows' v
constant uint kOutputThreads = (min(kHeadRows, kThreads) + 31) / 32 * 32;  // whole simdgroups of them
constant bool kWholeOutputs = kHeadRows == kOutputThreads;  // one of each of these
constant uint kThreadInputs = (kInputs + kThreads - 1) / kThreads;
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

/// The channel of input `i`: `first` has what the first channels of q, k and v are ahead of i.
inline uint channel_of(uint i, thread const uint* first) {
  return i + (i < kDim ? first[0] : i < 2 * kDim ? first[1] : first[2]);
}

/// Σ values[i]² over `n` values, in every lane of the calling simdgroup.
inline float simd_squares(threadgroup const float* values, uint n, uint lane) {
  float sum = 0;
#pragma unroll
  for (uint first = 0; first < n; first += 32) {
    const float value = first + lane < n ? values[first + lane] : 0.0f;
    sum += value * value;
  }
  return lattice_simd_sum(sum);
}

// Sums over a row, of which the first two are its own and the others the same of all.
constant constexpr uint kOldByKey = 0;
constant constexpr uint kOldByQuery = 1;
constant constexpr uint kKeyByQuery = 2;
constant constexpr uint kKeySquares = 3;
constant constexpr uint kQuerySquares = 4;
constant constexpr uint kOwnSums = 2;
constant constexpr uint kAllSums = 5;

/// The first `count` of what a lane has of the sums over a row, over the lanes of the row and in each of these: side by side, as each
/// step is a wait.
inline void join_lanes(thread float* sums, uint count) {
#pragma unroll
  for (ushort step = 1; step < kRowLanes; step *= 2) {
#pragma unroll
    for (uint n = 0; n < count; ++n) sums[n] += lattice_simd_shuffle_xor(sums[n], step);
  }
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

/// projections [qkv | z | b | a] of one token → out [v_heads · head_dim], less the norm's factor, as TO_PLANES says, and
/// squares [v_heads, PARTS], which it follows from; advances ring [taps, C] and state [v_heads, head_dim (v), head_dim (k)].
/// Threadgroups: v_heads · PARTS of SIMDGROUPS · 32 threads. head_dim is 4 · VECTORS, at most 256, and a multiple of PARTS.
[[kernel, max_total_threads_per_threadgroup(512)]] void gdn_step(
    device const StepState& step [[buffer(0)]], device const float* projections [[buffer(1)]],
    device const float* taps [[buffer(2)]], device const float* decay_rate [[buffer(3)]],
    device const float* dt_bias [[buffer(4)]], device const float* norm [[buffer(5)]],
    device float* ring [[buffer(6)]], device float* state [[buffer(7)]], device float* out [[buffer(8)]],
    device float* squares [[buffer(9)]], constant GdnArgs& args [[buffer(10)]],
    uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 inputs[3 * kMaxHeadDim / 4];  // q, k and v
  threadgroup float o[kMaxHeadDim];

  lattice_allow_next();
  const uint head = group / max(kParts, 1u);
  const uint first_row = group % max(kParts, 1u) * kHeadRows;
  const uint per_k_head = kValueHeads / kKeyHeads;
  const uint k_head = args.tiled != 0 ? head % kKeyHeads : head / per_k_head;
  const bool owns_k_head = (args.tiled != 0 ? head / kKeyHeads : head % per_k_head) == 0;
  const uint k_dim = kKeyHeads * kDim;
  const uint channels = 2 * k_dim + kValueHeads * kDim;
  const uint position = uint(step.position);
  const uint slot = (position % kTaps) * channels;

  const uint team = thread_index / kRowLanes;
  const uint part = thread_index % kRowLanes;
  device float4* rows = reinterpret_cast<device float4*>(state + ulong(head) * kDim * kDim);
  float4 s[kMaxLaneVectors] = {};
  if (team < kHeadRows) load_row(rows + (first_row + team) * kVectors, part, s);

  threadgroup float* qkv = reinterpret_cast<threadgroup float*>(inputs);
  const uint first_channel[3] = {k_head * kDim, k_dim + k_head * kDim - kDim,
                                 2 * k_dim + head * kDim + first_row - 2 * kDim};
  float history[kMaxInputs];
  float own_taps[kMaxInputs];  // of the token's own inputs
#pragma unroll
  for (uint n = 0; n < kThreadInputs; ++n) {
    const uint channel = channel_of(min(thread_index + n * kThreads, kInputs - 1), first_channel);
    history[n] = convolve_history(taps, ring, channel, channels, position);
    own_taps[n] = taps[(kTaps - 1) * channels + channel];
  }
  const float rate = decay_rate[head];
  const float bias = dt_bias[head];
  const float first_norm = thread_index < kHeadRows ? norm[first_row + thread_index] : 0.0f;
  lattice_wait_for_inputs();

  // All of the input is asked for before any of it is used.
  const float b = projections[args.b_offset + head];
  const float a = projections[args.a_offset + head];
  device const float* z = projections + args.z_offset + head * kDim + first_row;
  const float first_z = thread_index < kHeadRows ? z[thread_index] : 0.0f;
  float input[kMaxInputs];
#pragma unroll
  for (uint n = 0; n < kThreadInputs; ++n) {
    input[n] = projections[channel_of(min(thread_index + n * kThreads, kInputs - 1), first_channel)];
  }
#pragma unroll
  for (uint n = 0; n < kThreadInputs; ++n) {
    const uint i = thread_index + n * kThreads;
    const float activated = silu(history[n] + own_taps[n] * input[n]);
    if (i < kInputs) qkv[i] = activated;
    // Threadgroups share their K head's channels: one of them keeps the input. None reads the row that it writes.
    const bool keeps = i >= 2 * kDim || (owns_k_head && first_row == 0);
    if (keeps && i < kInputs) ring[slot + channel_of(i, first_channel)] = input[n];
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const float beta = sigmoid(b);
  const float decay = precise::exp(rate * softplus(a + bias));
  threadgroup const float4* q_vectors = inputs;
  threadgroup const float4* k_vectors = inputs + kVectors;
  float k_norm = 0;
  float q_norm = 0;
  float kq = 0;
#pragma unroll
  for (uint first = 0; first < kHeadRows; first += kTeams) {
    const uint row = first + team;
    const bool active = row < kHeadRows;  // every lane takes part in the sums
    device float4* state_row = rows + (first_row + row) * kVectors;
    if (active && first > 0) load_row(state_row, part, s);
    float sums[kAllSums] = {};
#pragma unroll
    for (uint i = 0; i * kRowLanes < kVectors; ++i) {
      const uint v = i * kRowLanes + part;
      const float4 k = v < kVectors ? k_vectors[v] : float4(0.0f);
      const float4 q = v < kVectors ? q_vectors[v] : float4(0.0f);
      sums[kOldByKey] += dot(s[i], k);
      sums[kOldByQuery] += dot(s[i], q);
      sums[kKeyByQuery] += dot(k, q);
      sums[kKeySquares] += dot(k, k);
      sums[kQuerySquares] += dot(q, q);
    }
    join_lanes(sums, first == 0 ? kAllSums : kOwnSums);
    if (first == 0) {
      k_norm = precise::rsqrt(sums[kKeySquares] + kL2Epsilon);
      q_norm = precise::rsqrt(sums[kQuerySquares] + kL2Epsilon) * precise::rsqrt(float(kDim));
      kq = sums[kKeyByQuery] * q_norm * k_norm;
    }
    const float predicted = sums[kOldByKey] * k_norm;
    const float read = sums[kOldByQuery] * q_norm;
    if (!active) continue;
    const float u = beta * (qkv[2 * kDim + row] - decay * predicted);
#pragma unroll
    for (uint i = 0; i * kRowLanes < kVectors; ++i) {
      const uint v = i * kRowLanes + part;
      if (v < kVectors) state_row[v] = decay * s[i] + (u * k_norm) * k_vectors[v];
    }
    if (part == 0) o[row] = decay * read + kq * u;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  if (thread_index >= kOutputThreads) return;
  const float own_squares = simd_squares(o, kHeadRows, lane);
#pragma unroll
  for (uint n = 0; n < (kHeadRows + kThreads - 1) / kThreads; ++n) {
    const uint i = thread_index + n * kThreads;
    if (!kWholeOutputs && i >= kHeadRows) break;
    const float weight = n == 0 ? first_norm : norm[first_row + i];
    const float gate = silu(n == 0 ? first_z : z[i]);
    store_output(kToPlanes, o[i] * weight * gate, head * kDim + first_row + i, kValueHeads * kDim, out);
  }
  if (thread_index == 0) squares[group] = own_squares;
}
