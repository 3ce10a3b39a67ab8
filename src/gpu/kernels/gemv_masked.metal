// y = (W ∘ M) x for one vector, where M is given by blocks: what a mask leaves out is not read. Blocks are 32 rows by 32
// columns, a bit each. A row of blocks with no bit gives zeros and costs its words of the mask, which is how an output
// head skips what may not be said, and a column left out of every row is an input that is known to be zero.
//
// MLX's gemv_masked (mlx/backend/metal/kernels/gemv_masked.h) takes a mask for the output and one for each operand,
// an element a block; here one mask says it all, at a bit a block, and weights may be quantised.

#include <metal_stdlib>

#include "formats.h"
#include "kernel_args.h"
#include "tiles.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kRows [[function_constant(LATTICE_FC_ROWS)]];
constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

constant constexpr uint kMaxRows = 8;

namespace lattice_gpu {

/// Chunk `c` of x, and what the format's sums start from.
template <typename Format>
inline float2 load_input(device const float* x, uint c, thread float* input) {
  constexpr uint kVectors = Format::kCols / 4;
  float2 sums = float2(0.0f);
#pragma unroll
  for (uint i = 0; i < kVectors; ++i) {
    const float4 v = reinterpret_cast<device const float4*>(x)[c * kVectors + i];
#pragma unroll
    for (uint j = 0; j < 4; ++j) input[4 * i + j] = v[j];
    sums[2 * i / kVectors] += v.x + v.y + v.z + v.w;
  }
  return Format::kHasStart ? float2(Format::start(sums.x), Format::start(sums.y)) : float2(0.0f);
}

}  // namespace lattice_gpu

/// quants [rows, row_chunks] · x [cols] → y [rows], with mask [⌈rows / 32⌉, mask_words]: bit b of word w of a row of
/// blocks stands for the columns from 32 · (32 w + b) on. Threadgroups: ⌈rows / (ROWS · SIMDGROUPS)⌉ of SIMDGROUPS · 32
/// threads. x is padded with zeros to row_chunks · kCols.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv_masked(
    device const uint4* quants [[buffer(0)]], device const half* scales [[buffer(1)]],
    device const uint* mask [[buffer(2)]], device const float* x [[buffer(3)]], device float* y [[buffer(4)]],
    constant MaskedGemvArgs& args [[buffer(5)]], uint group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  const uint first_row = (group * kSimdgroups + simdgroup) * kRows;  // ROWS divides 32: all rows have one mask
  if (first_row >= args.rows) return;
  device const uint* words = mask + ulong(first_row / LATTICE_MASK_BLOCK) * args.mask_words;
  float sums[kMaxRows] = {};
  for (uint c = lane; c < args.row_chunks; c += 32) {
    const uint block = c * Format::kCols / LATTICE_MASK_BLOCK;
    if ((words[block / 32] >> (block % 32) & 1) == 0) continue;
    float input[Format::kCols];
    const float2 start = load_input<Format>(x, c, input);
#pragma unroll
    for (uint r = 0; r < kRows; ++r) {
      const Chunk chunk = load_chunk<Format>(quants, scales, {args.row_chunks, args.row_blocks, args.row_groups},
                                             min(first_row + r, args.rows - 1), c);
      sums[r] += Format::dot(chunk, input, start);
    }
  }
#pragma unroll
  for (uint r = 0; r < kRows; ++r) {
    const float sum = simd_sum(sums[r]);
    if (lane == 0 && first_row + r < args.rows) y[first_row + r] = sum;
  }
}

#define LATTICE_GEMV_MASKED(name, format)                                                                        \
  template [[host_name(name)]] [[kernel]] void gemv_masked<format>(                                              \
      device const uint4*, device const half*, device const uint*, device const float*, device float*,           \
      constant MaskedGemvArgs&, uint, uint, uint)

LATTICE_GEMV_MASKED("gemv_masked_f32", FormatF32);
LATTICE_GEMV_MASKED("gemv_masked_f16", FormatF16);
LATTICE_GEMV_MASKED("gemv_masked_bf16", FormatBF16);
LATTICE_GEMV_MASKED("gemv_masked_q8_0", FormatQ8_0);
LATTICE_GEMV_MASKED("gemv_masked_q4_0", FormatQ4_0);
