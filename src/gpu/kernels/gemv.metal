// y = W x for one vector, the heart of a decode step: reads every weight once and does nothing else with memory.
//
// A simdgroup owns ROWS rows. Its lanes stride over the columns in chunks of 16 bytes, each chunk of x being read
// once for all rows. SPLIT simdgroups of a threadgroup may share the rows' columns, so that a matrix of few rows still
// keeps every core's loads in flight; they meet once, in threadgroup memory.
//
// RMSNorm of x costs no pass of its own: W (x·r ⊙ n) = r · W (x ⊙ n) with r = 1/√(mean x² + ε), and every simdgroup
// sees all of x (or its part, summed where the parts meet), so r is applied to the finished sums.

#include <metal_stdlib>

#include "activations.h"
#include "formats.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kRows [[function_constant(LATTICE_FC_ROWS)]];
constant uint kSplit [[function_constant(LATTICE_FC_SPLIT)]];
constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kUnroll [[function_constant(LATTICE_FC_UNROLL)]];
constant bool kNorm [[function_constant(LATTICE_FC_NORM)]];
constant uint kEpilogue [[function_constant(LATTICE_FC_EPILOGUE)]];

constant constexpr uint kMaxRows = 8;
constant constexpr uint kMaxUnroll = 4;
constant constexpr uint kMaxSimdgroups = 16;

namespace lattice_gpu {

/// Chunk `c` of the input, scaled by the norm's weight: x[0 … kCols). Returns Σ x² before that scaling.
template <typename Format>
float load_input(device const float* x, device const float* norm, uint c, thread float* out) {
  constexpr uint kVectors = Format::kCols / 4;
  float squares = 0;
  for (uint i = 0; i < kVectors; ++i) {
    float4 v = reinterpret_cast<device const float4*>(x)[c * kVectors + i];
    if (kNorm) {
      squares += dot(v, v);
      v *= reinterpret_cast<device const float4*>(norm)[c * kVectors + i];
    }
    out[4 * i] = v.x;
    out[4 * i + 1] = v.y;
    out[4 * i + 2] = v.z;
    out[4 * i + 3] = v.w;
  }
  return squares;
}

/// Adds this lane's share of every row's product to `sums`, and of Σ x² to `squares`.
template <typename Format>
void multiply_rows(device const uint4* quants, device const half* scales, device const float* x,
                   device const float* norm, constant GemvArgs& args, uint first_row, uint first_chunk, uint stride,
                   thread float* sums, thread float& squares) {
  for (uint c = first_chunk; c < args.row_chunks; c += stride * kUnroll) {
    // All loads of the step are issued before the first of them is used.
    Chunk chunks[kMaxUnroll][kMaxRows];
    for (uint u = 0; u < kUnroll; ++u) {
      const uint at = min(c + u * stride, args.row_chunks - 1);
      for (uint r = 0; r < kRows; ++r) {
        const uint row = min(first_row + r, args.rows - 1);
        chunks[u][r] =
            Format::load(quants + ulong(row) * args.row_chunks, scales + ulong(row) * args.row_blocks, at);
      }
    }
    for (uint u = 0; u < kUnroll; ++u) {
      const uint at = c + u * stride;
      if (at < args.row_chunks) {
        float input[Format::kCols];
        squares += load_input<Format>(x, norm, at, input);
        float input_sum = 0;
        if (Format::kHasOffset) {
          for (uint i = 0; i < Format::kCols; ++i) input_sum += input[i];
        }
        for (uint r = 0; r < kRows; ++r) sums[r] += Format::dot(chunks[u][r], input, input_sum);
      }
    }
  }
}

void write_rows(device float* y, constant GemvArgs& args, uint first_row, thread const float* sums) {
  if (kEpilogue == LATTICE_EPILOGUE_SWIGLU) {
    for (uint r = 0; r + 1 < kRows; r += 2) {
      if (first_row + r < args.rows) y[(first_row + r) / 2] = silu(sums[r]) * sums[r + 1];
    }
    return;
  }
  for (uint r = 0; r < kRows; ++r) {
    if (first_row + r >= args.rows) break;
    if (kEpilogue == LATTICE_EPILOGUE_ADD) {
      y[first_row + r] += sums[r];
    } else {
      y[first_row + r] = sums[r];
    }
  }
}

}  // namespace lattice_gpu

/// quants [rows, row_chunks] · x [cols] → y [rows], or [rows / 2] with SwiGLU. Threadgroups: ⌈rows / (ROWS · SIMDGROUPS /
/// SPLIT)⌉ of SIMDGROUPS · 32 threads. x is padded with zeros to row_chunks · kCols, and so is norm.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv(
    device const uint4* quants [[buffer(0)]], device const half* scales [[buffer(1)]],
    device const float* x [[buffer(2)]], device const float* norm [[buffer(3)]], device float* y [[buffer(4)]],
    constant GemvArgs& args [[buffer(5)]], uint group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float partial[kMaxSimdgroups * (kMaxRows + 1)];

  const uint teams = kSimdgroups / kSplit;  // of SPLIT simdgroups, each with rows of its own
  const uint team = simdgroup / kSplit;
  const uint member = simdgroup % kSplit;
  const uint first_row = (group * teams + team) * kRows;

  float sums[kMaxRows] = {};
  float squares = 0;
  if (first_row < args.rows) {
    multiply_rows<Format>(quants, scales, x, norm, args, first_row, member * 32 + lane, kSplit * 32, sums, squares);
  }
  for (uint r = 0; r < kRows; ++r) sums[r] = simd_sum(sums[r]);
  if (kNorm) squares = simd_sum(squares);

  if (kSplit > 1) {
    if (lane == 0) {
      for (uint r = 0; r < kRows; ++r) partial[simdgroup * (kMaxRows + 1) + r] = sums[r];
      partial[simdgroup * (kMaxRows + 1) + kMaxRows] = squares;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint m = 1; m < kSplit; ++m) {  // member 0 alone goes on
      const uint other = (team * kSplit + m) * (kMaxRows + 1);
      for (uint r = 0; r < kRows; ++r) sums[r] += partial[other + r];
      squares += partial[other + kMaxRows];
    }
  }

  if (member == 0 && lane == 0 && first_row < args.rows) {
    if (kNorm) {
      const float factor = precise::rsqrt(squares / float(args.cols) + args.epsilon);
      for (uint r = 0; r < kRows; ++r) sums[r] *= factor;
    }
    write_rows(y, args, first_row, sums);
  }
}

#define LATTICE_GEMV(name, format)                                                                                \
  template [[host_name(name)]] [[kernel]] void gemv<format>(                                                      \
      device const uint4*, device const half*, device const float*, device const float*, device float*,           \
      constant GemvArgs&, uint, uint, uint)

LATTICE_GEMV("gemv_f32", FormatF32);
LATTICE_GEMV("gemv_f16", FormatF16);
LATTICE_GEMV("gemv_bf16", FormatBF16);
LATTICE_GEMV("gemv_q8_0", FormatQ8_0);
LATTICE_GEMV("gemv_q4_0", FormatQ4_0);
