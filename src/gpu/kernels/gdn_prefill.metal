// A prompt through the Gated DeltaNet mixers' heads: what comes before and behind the delta rule (gdn_chunks.metal).
//
// In order: gdn_convolve; gdn_keep beside gdn_chunks; gdn_scan; gdn_gate. Between them stand, [rows] being the tokens that there
// is room for and [padded] a head's dimensions padded with zeros to a multiple of 8:
//   convolved [2 · k_heads + v_heads, rows, padded]: the heads of q (unit, over √d), of k (unit), and of v
//   gates [2, v_heads, rows]: β and the log of the decay
// Rows of the last chunk that no token has are zero, and so are their gates: they change nothing.

#include <metal_stdlib>

#include "activations.h"
#include "hints.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kVectors [[function_constant(LATTICE_FC_VECTORS)]];
constant uint kTaps [[function_constant(LATTICE_FC_TAPS)]];  // at most 16
constant uint kDim = kVectors * 4;
constant uint kPadded = (kDim + 7) / 8 * 8;
constant uint kLaneDims = (kPadded + 31) / 32;

constant constexpr uint kMaxLaneDims = 8;  // kDim is at most 256
constant constexpr uint kMaxTaps = 16;
constant constexpr uint kRun = 8;             // tokens that a simdgroup convolves
constant constexpr float kL2Epsilon = 1e-6f;  // Hugging Face's l2norm, inside the sum

namespace lattice_gpu {

/// A channel's input of `token`, counted from the piece's first. Inputs before the piece stand in the ring, that of position p
/// in row p % taps; before the sequence's start there are none, and none behind its end.
inline float input_of(device const PromptSpan& span, device const float* projections, device const float* ring,
                      constant GdnPrefillArgs& args, uint channels, uint channel, int token) {
  if (token >= 0) return token < span.tokens ? projections[ulong(token) * args.stride + channel] : 0.0f;
  const int position = span.position + token;
  return position >= 0 ? ring[uint(position) % kTaps * channels + channel] : 0.0f;
}

}  // namespace lattice_gpu

/// projections [tokens, stride], each [qkv | z | b | a] → convolved, gates. Threadgroups: (⌈(2 · k_heads + v_heads) / SIMDGROUPS⌉,
/// tokens up to a multiple of the chunk, / 8) of SIMDGROUPS · 32 threads, a simdgroup a head of 8 tokens, whose inputs it reads once.
[[kernel]] void gdn_convolve(device const PromptSpan& span [[buffer(0)]], device const float* projections [[buffer(1)]],
                             device const float* taps [[buffer(2)]], device const float* decay_rate [[buffer(3)]],
                             device const float* dt_bias [[buffer(4)]], device const float* ring [[buffer(5)]],
                             device float* convolved [[buffer(6)]], device float* gates [[buffer(7)]],
                             constant GdnPrefillArgs& args [[buffer(8)]], uint2 place [[threadgroup_position_in_grid]],
                             uint simdgroup [[simdgroup_index_in_threadgroup]],
                             uint lane [[thread_index_in_simdgroup]]) {
  const uint k_heads = args.k_heads;
  const uint v_heads = args.v_heads;
  const uint channels = (2 * k_heads + v_heads) * kDim;
  const uint head = place.x * kSimdgroups + simdgroup;
  const uint first = place.y * kRun;
  if (head >= 2 * k_heads + v_heads) return;

  float values[kRun][kMaxLaneDims];
  float squares[kRun];
#pragma unroll
  for (uint t = 0; t < kRun; ++t) squares[t] = 0;
#pragma unroll
  for (uint i = 0; i < kLaneDims; ++i) {
    const uint channel = head * kDim + i * 32 + lane;
    const bool inside = i * 32 + lane < kDim;
    float inputs[kRun + kMaxTaps - 1];
    float own_taps[kMaxTaps];
#pragma unroll
    for (uint n = 0; n < kRun + kTaps - 1; ++n) {
      inputs[n] = inside ? input_of(span, projections, ring, args, channels, channel, int(first + n + 1) - int(kTaps))
                         : 0.0f;
    }
#pragma unroll
    for (uint j = 0; j < kTaps; ++j) own_taps[j] = inside ? taps[j * channels + channel] : 0.0f;
#pragma unroll
    for (uint t = 0; t < kRun; ++t) {
      float sum = 0;
#pragma unroll
      for (uint j = 0; j < kTaps; ++j) sum += own_taps[j] * inputs[t + j];
      values[t][i] = first + t < uint(span.tokens) ? silu(sum) : 0.0f;
      squares[t] += values[t][i] * values[t][i];
    }
  }
#pragma unroll
  for (uint t = 0; t < kRun; ++t) {
    float factor = 1;
    if (head < 2 * k_heads) factor = precise::rsqrt(lattice_simd_sum(squares[t]) + kL2Epsilon);
    if (head < k_heads) factor *= precise::rsqrt(float(kDim));
    device float* out = convolved + (ulong(head) * args.rows + first + t) * kPadded;
#pragma unroll
    for (uint i = 0; i < kLaneDims; ++i) {
      if (i * 32 + lane < kPadded) out[i * 32 + lane] = values[t][i] * factor;
    }
  }

  if (head >= 2 * k_heads && lane < kRun) {
    const uint v_head = head - 2 * k_heads;
    const uint token = first + lane;
    const bool real = token < uint(span.tokens);
    device const float* row = projections + ulong(token) * args.stride;
    device float* beta = gates + v_head * args.rows + token;
    device float* log_decay = beta + v_heads * args.rows;
    *beta = real ? sigmoid(row[args.b_offset + v_head]) : 0.0f;
    *log_decay =
        real ? decay_rate[v_head] * softplus(row[args.a_offset + v_head] + dt_bias[v_head]) : 0.0f;
  }
}

/// Leaves the last inputs in the ring [taps, C], once gdn_convolve has read what stood there. Threads: (C, taps).
[[kernel]] void gdn_keep(device const PromptSpan& span [[buffer(0)]], device const float* projections [[buffer(1)]],
                         device float* ring [[buffer(2)]], constant GdnPrefillArgs& args [[buffer(3)]],
                         uint2 place [[thread_position_in_grid]]) {
  const uint channels = (2 * args.k_heads + args.v_heads) * args.head_dim;
  const uint tokens = uint(span.tokens);
  if (place.x >= channels || place.y >= min(args.conv_kernel, tokens)) return;
  const uint token = tokens - 1 - place.y;
  ring[(uint(span.position) + token) % args.conv_kernel * channels + place.x] =
      projections[ulong(token) * args.stride + place.x];
}

/// scaled, of which gdn_scan has left the heads' outputs in the first of its four parts, and z → out [tokens, out_stride]: norm ·
/// RMSNorm(o) · silu(z). Threadgroups: (⌈v_heads / SIMDGROUPS⌉, tokens) of SIMDGROUPS · 32 threads, a simdgroup a head of a token.
[[kernel]] void gdn_gate(device const PromptSpan& span [[buffer(0)]], device const float* projections [[buffer(1)]],
                         device const float* norm [[buffer(2)]], device const float* scaled [[buffer(3)]],
                         device float* out [[buffer(4)]], constant GdnPrefillArgs& args [[buffer(5)]],
                         uint2 place [[threadgroup_position_in_grid]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  const uint dim = args.head_dim;
  const uint head = place.x * kSimdgroups + simdgroup;
  const uint token = place.y;
  if (head >= args.v_heads || token >= uint(span.tokens)) return;
  device const float* o = scaled + (ulong(head) * 4 * args.rows + token) * args.padded_dim;
  device const float* z = projections + ulong(token) * args.stride + args.z_offset + head * dim;
  float squares = 0;
  for (uint i = lane; i < dim; i += 32) squares += o[i] * o[i];
  const float factor = precise::rsqrt(simd_sum(squares) / float(dim) + args.epsilon);
  for (uint i = lane; i < dim; i += 32) {
    out[ulong(token) * args.out_stride + head * dim + i] = o[i] * factor * norm[i] * silu(z[i]);
  }
}
