// Y = X Wᵀ for a prompt's tokens: a threadgroup makes a tile of 32 tokens × 64 rows of W from steps of 32 columns.
//
// Its four simdgroups dequantise W's tile into threadgroup memory once for all tokens, and multiply in 8 × 8 pieces, each
// holding a quarter of the tile (16 × 32, eight accumulators). The finished tile goes through threadgroup memory as
// well, so that ends of every kind, the residual and SwiGLU are plain loops.

#include <metal_stdlib>

#include "activations.h"
#include "formats.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kEpilogue [[function_constant(LATTICE_FC_EPILOGUE)]];

constant constexpr uint kTileTokens = 32;
constant constexpr uint kTileRows = 64;
constant constexpr uint kTileCols = 32;  // every format's chunks divide it
constant constexpr uint kThreads = 128;
constant constexpr uint kStride = kTileCols + 4;    // keeps the rows of a tile in different banks
constant constexpr uint kOutStride = kTileRows + 4;

namespace lattice_gpu {

/// Columns first … first + 32 of rows first_row … + 64, as floats; zeros past the matrix's end.
template <typename Format>
void load_weights(device const uint4* quants, device const half* scales, constant GemmArgs& args, uint first_row,
                  uint first_col, uint thread_index, threadgroup float* tile) {
  constexpr uint kChunks = kTileCols / Format::kCols;  // of a row of the tile
  for (uint i = thread_index; i < kTileRows * kChunks; i += kThreads) {
    const uint row = i / kChunks;
    const uint chunk = first_col / Format::kCols + i % kChunks;
    float values[Format::kCols] = {};
    if (first_row + row < args.rows && chunk < args.row_chunks) {
      const ulong at = first_row + row;
      Format::unpack(Format::load(quants + at * args.row_chunks, scales + at * args.row_blocks, chunk), values);
    }
    for (uint j = 0; j < Format::kCols; ++j) tile[row * kStride + i % kChunks * Format::kCols + j] = values[j];
  }
}

inline void load_tokens(device const float* x, constant GemmArgs& args, uint first_token, uint first_col,
                        uint thread_index, threadgroup float* tile) {
  for (uint i = thread_index; i < kTileTokens * kTileCols; i += kThreads) {
    const uint token = first_token + i / kTileCols;
    const uint col = first_col + i % kTileCols;
    const bool inside = token < args.tokens && col < args.x_stride;
    tile[i / kTileCols * kStride + i % kTileCols] = inside ? x[ulong(token) * args.x_stride + col] : 0.0f;
  }
}

inline void write_tile(threadgroup const float* tile, constant GemmArgs& args, uint first_token, uint first_row,
                       uint thread_index, device float* y) {
  for (uint i = thread_index; i < kTileTokens * kTileRows; i += kThreads) {
    const uint token = first_token + i / kTileRows;
    const uint row = first_row + i % kTileRows;
    if (token >= args.tokens || row >= args.rows) continue;
    threadgroup const float* value = tile + i / kTileRows * kOutStride + i % kTileRows;
    device float* out = y + ulong(token) * args.y_stride;
    if (kEpilogue == LATTICE_EPILOGUE_SWIGLU) {
      if (row % 2 == 0) out[row / 2] = silu(value[0]) * value[1];
    } else if (kEpilogue == LATTICE_EPILOGUE_ADD) {
      out[row] += value[0];
    } else {
      out[row] = value[0];
    }
  }
}

}  // namespace lattice_gpu

/// quants [rows, row_chunks], x [tokens, x_stride] → y [tokens, y_stride]: row r of W to column r, or rows in pairs to column r / 2
/// with SwiGLU. x is padded with zeros to x_stride, a multiple of 32 and no less than the columns that the chunks hold.
/// Threadgroups: (⌈rows / 64⌉, ⌈tokens / 32⌉) of 128 threads.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(kThreads)]] void gemm(
    device const uint4* quants [[buffer(0)]], device const half* scales [[buffer(1)]],
    device const float* x [[buffer(2)]], device float* y [[buffer(3)]], constant GemmArgs& args [[buffer(4)]],
    uint2 place [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float weights[kTileRows * kStride];
  threadgroup float tokens[kTileTokens * kStride];
  threadgroup float finished[kTileTokens * kOutStride];

  const uint first_row = place.x * kTileRows;
  const uint first_token = place.y * kTileTokens;
  const uint own_token = simdgroup / 2 * 16;  // of this simdgroup's quarter of the tile
  const uint own_row = simdgroup % 2 * 32;

  simdgroup_float8x8 sums[2][4];
  for (uint i = 0; i < 2; ++i) {
    for (uint j = 0; j < 4; ++j) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  const uint cols = args.row_chunks * Format::kCols;
  for (uint col = 0; col < cols; col += kTileCols) {
    load_weights<Format>(quants, scales, args, first_row, col, thread_index, weights);
    load_tokens(x, args, first_token, col, thread_index, tokens);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < kTileCols; k += 8) {
      simdgroup_float8x8 left[2];
      simdgroup_float8x8 right[4];
      for (uint i = 0; i < 2; ++i) simdgroup_load(left[i], tokens + (own_token + 8 * i) * kStride + k, kStride);
      for (uint j = 0; j < 4; ++j) {  // stored [row][column]: transposed on the way
        simdgroup_load(right[j], weights + (own_row + 8 * j) * kStride + k, kStride, ulong2(0, 0), true);
      }
      for (uint i = 0; i < 2; ++i) {
        for (uint j = 0; j < 4; ++j) simdgroup_multiply_accumulate(sums[i][j], left[i], right[j], sums[i][j]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  for (uint i = 0; i < 2; ++i) {
    for (uint j = 0; j < 4; ++j) {
      simdgroup_store(sums[i][j], finished + (own_token + 8 * i) * kOutStride + own_row + 8 * j, kOutStride);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  write_tile(finished, args, first_token, first_row, thread_index, y);
}

#define LATTICE_GEMM(name, format)                                                                             \
  template [[host_name(name)]] [[kernel]] void gemm<format>(device const uint4*, device const half*,           \
                                                            device const float*, device float*, constant GemmArgs&, \
                                                            uint2, uint, uint)

LATTICE_GEMM("gemm_f32", FormatF32);
LATTICE_GEMM("gemm_f16", FormatF16);
LATTICE_GEMM("gemm_bf16", FormatBF16);
LATTICE_GEMM("gemm_q8_0", FormatQ8_0);
LATTICE_GEMM("gemm_q4_0", FormatQ4_0);
