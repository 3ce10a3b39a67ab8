// RMSNorm of a prompt's rows, ahead of a GEMM. (A decode step's norms are folded into its GEMVs.)

#include <metal_stdlib>

#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

/// x [tokens, in_stride] → y [tokens, out_stride]: x / √(mean x² + ε) · weight, and zeros from cols to out_stride, which are the
/// padding that the matrix kernels read. Threadgroups: tokens, of 32 threads.
[[kernel]] void rms_norm(device const float* x [[buffer(0)]], device const float* weight [[buffer(1)]],
                         device float* y [[buffer(2)]], constant RowsArgs& args [[buffer(3)]],
                         uint token [[threadgroup_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  device const float* in = x + ulong(token) * args.in_stride;
  device float* out = y + ulong(token) * args.out_stride;
  float squares = 0;
  for (uint i = lane; i < args.cols; i += 32) squares += in[i] * in[i];
  const float factor = precise::rsqrt(simd_sum(squares) / float(args.cols) + args.epsilon);
  for (uint i = lane; i < args.out_stride; i += 32) out[i] = i < args.cols ? in[i] * factor * weight[i] : 0.0f;
}
