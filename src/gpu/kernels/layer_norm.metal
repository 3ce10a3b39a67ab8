// LayerNorm of rows (Ba, Kiros, Hinton, "Layer normalization", 2016), which the family's vision encoder is made of. The
// variance is taken about the mean that was found, in a reading of its own: one from Σ x² loses all digits where the
// mean is large, and the row is in cache by then.

#include <metal_stdlib>

#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

/// x [rows, in_stride] → y [rows, out_stride]: (x − mean) / √(variance + ε) · weight + bias. Strides are multiples of 4.
/// Threadgroups: ⌈rows / SIMDGROUPS⌉ of SIMDGROUPS · 32 threads, a simdgroup a row.
[[kernel]] void layer_norm(device const float* x [[buffer(0)]], device const float* weight [[buffer(1)]],
                           device const float* bias [[buffer(2)]], device float* y [[buffer(3)]],
                           constant LayerNormArgs& args [[buffer(4)]], uint group [[threadgroup_position_in_grid]],
                           uint simdgroup [[simdgroup_index_in_threadgroup]],
                           uint lane [[thread_index_in_simdgroup]]) {
  const uint row = group * kSimdgroups + simdgroup;
  if (row >= args.row_count) return;
  device const float* in = x + ulong(row) * args.rows.in_stride;
  device float* out = y + ulong(row) * args.rows.out_stride;
  device const float4* vectors = reinterpret_cast<device const float4*>(in);
  const uint cols = args.rows.cols;
  const uint whole = cols / 4;
  const uint rest = 4 * whole + lane;  // what a few lanes have beside whole vectors
  const bool has_rest = rest < cols;

  float sum = has_rest ? in[rest] : 0.0f;
  for (uint i = lane; i < whole; i += 32) sum += dot(vectors[i], float4(1.0f));
  const float mean = simd_sum(sum) / float(cols);

  float squares = has_rest ? (in[rest] - mean) * (in[rest] - mean) : 0.0f;
  for (uint i = lane; i < whole; i += 32) squares += dot(vectors[i] - mean, vectors[i] - mean);
  const float factor = precise::rsqrt(simd_sum(squares) / float(cols) + args.rows.epsilon);

  for (uint i = lane; i < whole; i += 32) {
    reinterpret_cast<device float4*>(out)[i] =
        (vectors[i] - mean) * factor * reinterpret_cast<device const float4*>(weight)[i] +
        reinterpret_cast<device const float4*>(bias)[i];
  }
  if (has_rest) out[rest] = (in[rest] - mean) * factor * weight[rest] + bias[rest];
}
