// One token through the Gated DeltaNet mixers' heads: convolution and SiLU, l2 norms, gates, the delta rule, the gated
// norm. A threadgroup owns a V head, a simdgroup every SIMDGROUPS-th row of its state, so that the state, which is most of what
// this step moves, is read and written once, in 16-byte pieces that lie together.
//
// With s a row of the old state (one value channel), the step of Yang et al., "Gated Delta Networks" (2024), in one pass:
//   p = s·k, r = s·q;  u = β (v − γ p);  o = γ r + (k·q) u;  s ← γ s + u k

#include <metal_stdlib>

#include "activations.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

constant constexpr uint kMaxHeadDim = 256;
constant constexpr float kL2Epsilon = 1e-6f;  // Hugging Face's l2norm, inside the sum

namespace lattice_gpu {

/// SiLU of the causal convolution of one channel. The ring holds the last inputs, that of position p in row p % taps; its
/// own input a token takes from the projections.
inline float convolve(device const float* taps, device const float* ring, float input, uint channel, uint channels,
                      uint kernel_size, uint position) {
  float sum = taps[(kernel_size - 1) * channels + channel] * input;
  for (uint j = 0; j + 1 < kernel_size; ++j) {
    const uint back = kernel_size - 1 - j;
    if (position >= back) {
      sum += taps[j * channels + channel] * ring[((position - back) % kernel_size) * channels + channel];
    }
  }
  return silu(sum);
}

/// Σ values[i]² over `n` values, in every lane of the calling simdgroup.
inline float simd_squares(threadgroup const float* values, uint n, uint lane) {
  float sum = 0;
  for (uint i = lane; i < n; i += 32) sum += values[i] * values[i];
  return simd_sum(sum);
}

}  // namespace lattice_gpu

/// projections [qkv | z | b | a] of one token → out [v_heads · head_dim]; advances ring [taps, C] and
/// state [v_heads, head_dim (v), head_dim (k)]. Threadgroups: v_heads of SIMDGROUPS · 32 threads. head_dim is a
/// multiple of 4, at most 256.
[[kernel]] void gdn_step(device const StepState& step [[buffer(0)]], device const float* projections [[buffer(1)]],
                         device const float* taps [[buffer(2)]], device const float* decay_rate [[buffer(3)]],
                         device const float* dt_bias [[buffer(4)]], device const float* norm [[buffer(5)]],
                         device float* ring [[buffer(6)]], device float* state [[buffer(7)]],
                         device float* out [[buffer(8)]], constant GdnArgs& args [[buffer(9)]],
                         uint head [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]],
                         uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 q_vectors[kMaxHeadDim / 4];
  threadgroup float4 k_vectors[kMaxHeadDim / 4];
  threadgroup float v[kMaxHeadDim];
  threadgroup float o[kMaxHeadDim];
  threadgroup float shared_norms[3];  // of q and k, and k·q

  threadgroup float* q = reinterpret_cast<threadgroup float*>(q_vectors);
  threadgroup float* k = reinterpret_cast<threadgroup float*>(k_vectors);

  const uint dim = args.head_dim;
  const uint threads = kSimdgroups * 32;
  const uint per_k_head = args.v_heads / args.k_heads;
  const uint k_head = args.tiled != 0 ? head % args.k_heads : head / per_k_head;
  const bool owns_k_head = (args.tiled != 0 ? head / args.k_heads : head % per_k_head) == 0;
  const uint k_dim = args.k_heads * dim;
  const uint channels = 2 * k_dim + args.v_heads * dim;
  const uint position = uint(step.position);
  const uint slot = (position % args.conv_kernel) * channels;

  for (uint i = thread_index; i < 3 * dim; i += threads) {
    const uint part = i / dim;
    const uint at = i % dim;
    const uint channel =
        part == 0 ? k_head * dim + at : part == 1 ? k_dim + k_head * dim + at : 2 * k_dim + head * dim + at;
    const float input = projections[channel];
    const float value = convolve(taps, ring, input, channel, channels, args.conv_kernel, position);
    if (part == 0) q[at] = value;
    if (part == 1) k[at] = value;
    if (part == 2) v[at] = value;
    // V heads share their K head's channels: one of them keeps the input. None reads the row that it writes.
    if (part == 2 || owns_k_head) ring[slot + channel] = input;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  if (simdgroup == 0) {
    const float q_squares = simd_squares(q, dim, lane);
    const float k_squares = simd_squares(k, dim, lane);
    float product = 0;
    for (uint i = lane; i < dim; i += 32) product += q[i] * k[i];
    product = simd_sum(product);
    if (lane == 0) {
      const float q_norm = precise::rsqrt(q_squares + kL2Epsilon) * precise::rsqrt(float(dim));
      const float k_norm = precise::rsqrt(k_squares + kL2Epsilon);
      shared_norms[0] = q_norm;
      shared_norms[1] = k_norm;
      shared_norms[2] = product * q_norm * k_norm;
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float q_norm = shared_norms[0];
  const float k_norm = shared_norms[1];
  const float kq = shared_norms[2];
  const float beta = sigmoid(projections[args.b_offset + head]);
  const float decay =
      precise::exp(decay_rate[head] * softplus(projections[args.a_offset + head] + dt_bias[head]));

  device float4* rows = reinterpret_cast<device float4*>(state + ulong(head) * dim * dim);
  const uint vectors = dim / 4;
  for (uint row = simdgroup; row < dim; row += kSimdgroups) {
    float predicted = 0;
    float read = 0;
    for (uint c = lane; c < vectors; c += 32) {
      const float4 s = rows[row * vectors + c];
      predicted += dot(s, k_vectors[c]);
      read += dot(s, q_vectors[c]);
    }
    predicted = simd_sum(predicted) * k_norm;
    read = simd_sum(read) * q_norm;
    const float u = beta * (v[row] - decay * predicted);
    for (uint c = lane; c < vectors; c += 32) {
      rows[row * vectors + c] =
          decay * rows[row * vectors + c] + (u * k_norm) * k_vectors[c];
    }
    if (lane == 0) o[row] = decay * read + kq * u;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);

  const float factor = precise::rsqrt(simd_squares(o, dim, lane) / float(dim) + args.epsilon);
  for (uint i = thread_index; i < dim; i += threads) {
    const float z = projections[args.z_offset + head * dim + i];
    out[head * dim + i] = o[i] * factor * norm[i] * silu(z);
  }
}
