// RMSNorm of a prompt's rows, ahead of a GEMM. (A decode step's norms are folded into its GEMVs.)

#include <metal_stdlib>

#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

/// x [tokens, in_stride] → y [tokens, out_stride]: x / √(mean x² + ε) · weight. x and weight are padded with zeros to a
/// multiple of 4. Threadgroups: ⌈tokens / SIMDGROUPS⌉ of SIMDGROUPS · 32 threads, a simdgroup a row.
[[kernel]] void rms_norm(device const PromptSpan& span [[buffer(0)]], device const float* x [[buffer(1)]],
                         device const float* weight [[buffer(2)]], device float* y [[buffer(3)]],
                         constant RowsArgs& args [[buffer(4)]], uint group [[threadgroup_position_in_grid]],
                         uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  const uint token = group * kSimdgroups + simdgroup;
  if (token >= uint(span.tokens)) return;
  device const float4* in = reinterpret_cast<device const float4*>(x + ulong(token) * args.in_stride);
  device const float4* scale = reinterpret_cast<device const float4*>(weight);
  device float4* out = reinterpret_cast<device float4*>(y + ulong(token) * args.out_stride);
  const uint vectors = (args.cols + 3) / 4;
  float squares = 0;
  for (uint i = lane; i < vectors; i += 32) squares += dot(in[i], in[i]);
  const float factor = precise::rsqrt(simd_sum(squares) / float(args.cols) + args.epsilon);
  for (uint i = lane; i < vectors; i += 32) out[i] = in[i] * factor * scale[i];
}

/// The last token's row of x [tokens, in_stride] → y [cols]: what the output head reads where one row of logits is
/// wanted. Threads: at least cols.
[[kernel]] void last_row(device const PromptSpan& span [[buffer(0)]], device const float* x [[buffer(1)]],
                         device float* y [[buffer(2)]], constant RowsArgs& args [[buffer(3)]],
                         uint i [[thread_position_in_grid]]) {
  if (i < args.cols) y[i] = x[ulong(span.tokens - 1) * args.in_stride + i];
}
