// A prompt through the Gated DeltaNet mixers' heads, by the chunked form of the delta rule (Yang et al., "Gated Delta Networks",
// 2024, and the WY form of "Parallelizing Linear Transformers with the Delta Rule", 2024). Per chunk of N tokens, with
// c the running sum of the log decays:
//
//   L[i][j] = β_i (k_i·k_j) e^{c_i − c_j}, j < i         T = (I + L)⁻¹
//   U = T [β_i v_i]        W = T [β_i e^{c_i} k_i]        A[i][j] = (q_i·k_j) e^{c_i − c_j}, j ≤ i
//   then, chunk by chunk, S the state:   V = U − W S,   o_i = e^{c_i} q_i S + Σ_j A[i][j] V_j,
//                                        S ← e^{c_N} S + Σ_i e^{c_N − c_i} k_i V_iᵀ
//
// U, W and A do not need S: gdn_chunks makes them for all chunks at once. gdn_scan then walks the chunks, a threadgroup
// taking a slice of a head's value channels, which never meet.
//
// In order: gdn_convolve, gdn_keep, gdn_chunks, gdn_scan, gdn_gate.

#include <metal_stdlib>

#include "activations.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant constexpr uint kChunk = LATTICE_GDN_CHUNK;
constant constexpr float kL2Epsilon = 1e-6f;  // Hugging Face's l2norm, inside the sum

namespace lattice_gpu {

inline uint channels_of(constant GdnPrefillArgs& args) {
  return (2 * args.k_heads + args.v_heads) * args.head_dim;
}
inline uint k_head_of(uint head, constant GdnPrefillArgs& args) {
  return args.tiled != 0 ? head % args.k_heads : head / (args.v_heads / args.k_heads);
}

}  // namespace lattice_gpu

/// SiLU of the causal convolution: projections [tokens, stride] and the ring's last inputs → convolved [tokens, C].
/// Threads: (C, tokens).
[[kernel]] void gdn_convolve(device const float* projections [[buffer(0)]], device const float* taps [[buffer(1)]],
                             device const float* ring [[buffer(2)]], device float* convolved [[buffer(3)]],
                             constant GdnPrefillArgs& args [[buffer(4)]],
                             uint2 place [[thread_position_in_grid]]) {
  const uint channels = channels_of(args);
  const uint channel = place.x;
  const uint token = place.y;
  if (channel >= channels || token >= args.tokens) return;
  float sum = 0;
  for (uint j = 0; j < args.conv_kernel; ++j) {
    const uint back = args.conv_kernel - 1 - j;
    float input = 0;
    if (token >= back) {
      input = projections[ulong(token - back) * args.stride + channel];
    } else if (args.position + token >= back) {
      input = ring[(args.position + token - back) % args.conv_kernel * channels + channel];
    }
    sum += taps[j * channels + channel] * input;
  }
  convolved[ulong(token) * channels + channel] = silu(sum);
}

/// Leaves the last inputs of the prompt in the ring. Threads: (C, taps).
[[kernel]] void gdn_keep(device const float* projections [[buffer(0)]], device float* ring [[buffer(1)]],
                         constant GdnPrefillArgs& args [[buffer(2)]], uint2 place [[thread_position_in_grid]]) {
  const uint channels = channels_of(args);
  if (place.x >= channels || place.y >= min(args.conv_kernel, args.tokens)) return;
  const uint token = args.tokens - 1 - place.y;
  ring[(args.position + token) % args.conv_kernel * channels + place.x] =
      projections[ulong(token) * args.stride + place.x];
}
