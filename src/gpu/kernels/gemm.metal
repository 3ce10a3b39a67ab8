// Y = X Wᵀ for a prompt's tokens: a threadgroup makes a tile of TILE_TOKENS × TILE_ROWS from steps of 32 columns, the
// only weights of a step that are dequantised, once, being those that all the tile's tokens share.
//
// The loads of a step are issued before the one before it is multiplied, and wait in registers. SIMD_TOKENS × SIMD_ROWS
// simdgroups share the tile, each with up to 4 × 4 accumulators of 8 × 8. Tiles are float: activations have outliers that
// half cannot hold, and Apple's GPUs multiply float matrices nearly as fast. The finished tile passes through the same
// threadgroup memory, so that ends of every kind, the residual and SwiGLU are plain loops.

#include <metal_simdgroup_matrix>
#include <metal_stdlib>

#include "activations.h"
#include "formats.h"
#include "kernel_args.h"
#include "tiles.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kTileTokens [[function_constant(LATTICE_FC_TILE_TOKENS)]];
constant uint kTileRows [[function_constant(LATTICE_FC_TILE_ROWS)]];
constant uint kSimdTokens [[function_constant(LATTICE_FC_SIMD_TOKENS)]];
constant uint kSimdRows [[function_constant(LATTICE_FC_SIMD_ROWS)]];
constant uint kEpilogue [[function_constant(LATTICE_FC_EPILOGUE)]];
constant uint kThreads = kSimdTokens * kSimdRows * 32;

constant constexpr uint kMaxTile = 64;
constant constexpr uint kTileCols = 32;           // every format's chunks divide it
constant constexpr uint kStride = kTileCols + 4;  // keeps the rows of a tile in different banks
constant constexpr uint kOutStride = kMaxTile + 4;
constant constexpr uint kMaxLoads = 8;  // of 16 bytes, a thread and step, of each operand: a tile has no more
                                        // rows or tokens than there are threads
static_assert(kMaxTile * kOutStride <= 2 * kMaxTile * kStride, "the finished tile takes the operands' place");

namespace lattice_gpu {

/// A thread's share of a step's operands, in registers.
template <typename Format>
struct Step {
  static constant constexpr const uint kChunks = kTileCols / Format::kCols;  // of a row of the tile
  Chunk weights[kMaxLoads];
  float4 tokens[kMaxLoads];

  /// Columns from first_col on; past the matrix's rows and columns, and past the tokens, zeros.
  void load(device const uint4* quants, device const half* scales, device const float* x, constant GemmArgs& args,
            uint first_row, uint first_token, uint tokens_end, uint first_col, uint thread_index) {
    for (uint i = 0; i < (kTileRows * kChunks + kThreads - 1) / kThreads; ++i) {
      const uint at = i * kThreads + thread_index;
      const uint row = first_row + at / kChunks;
      const uint chunk = first_col / Format::kCols + at % kChunks;
      weights[i] = {uint4(0), 0.0f};
      if (row < args.rows && chunk < args.row_chunks && at < kTileRows * kChunks) {
        weights[i] = load_chunk<Format>(quants, scales, {args.row_chunks, args.row_blocks, args.row_groups}, row, chunk);
      }
    }
    for (uint i = 0; i < (kTileTokens * kTileCols / 4 + kThreads - 1) / kThreads; ++i) {
      const uint at = i * kThreads + thread_index;
      const uint token = first_token + at / (kTileCols / 4);
      tokens[i] = float4(0);
      if (token < tokens_end) {
        device const float* row = x + ulong(args.first + token) * args.x_stride + first_col;
        tokens[i] = reinterpret_cast<device const float4*>(row)[at % (kTileCols / 4)];
      }
    }
  }

  void store(threadgroup float* weight_tile, threadgroup float* token_tile, uint thread_index) const {
    for (uint i = 0; i < (kTileRows * kChunks + kThreads - 1) / kThreads; ++i) {
      const uint at = i * kThreads + thread_index;
      if (at >= kTileRows * kChunks) continue;
      float values[Format::kCols];
      Format::unpack(weights[i], values);
      threadgroup float* out = weight_tile + at / kChunks * kStride + at % kChunks * Format::kCols;
      for (uint j = 0; j < Format::kCols; ++j) out[j] = values[j];
    }
    for (uint i = 0; i < (kTileTokens * kTileCols / 4 + kThreads - 1) / kThreads; ++i) {
      const uint at = i * kThreads + thread_index;
      if (at >= kTileTokens * kTileCols / 4) continue;
      threadgroup float* out = token_tile + at / (kTileCols / 4) * kStride + at % (kTileCols / 4) * 4;
      for (uint j = 0; j < 4; ++j) out[j] = tokens[i][j];
    }
  }
};

inline void write_tile(threadgroup const float* tile, constant GemmArgs& args, uint first_row, uint first_token,
                       uint tokens_end, uint thread_index, device float* y) {
  for (uint i = thread_index; i < kTileTokens * kTileRows; i += kThreads) {
    const uint token = first_token + i / kTileRows;
    const uint row = first_row + i % kTileRows;
    if (token >= tokens_end || row >= args.rows) continue;
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

/// quants [rows, row_chunks], x [tokens, x_stride] → y [tokens − first, y_stride]: row r of W to column r, or rows in pairs to
/// column r / 2 with SwiGLU. x is padded with zeros to x_stride. Threadgroups: (⌈tokens / TILE_TOKENS⌉, ⌈rows / TILE_ROWS⌉) of
/// SIMD_TOKENS · SIMD_ROWS · 32 threads, at most 256, so that the tiles that share weights run together.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(256)]] void gemm(
    device const PromptSpan& span [[buffer(0)]], device const uint4* quants [[buffer(1)]],
    device const half* scales [[buffer(2)]], device const float* x [[buffer(3)]], device float* y [[buffer(4)]],
    constant GemmArgs& args [[buffer(5)]], uint2 place [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  threadgroup float memory[2 * kMaxTile * kStride];
  threadgroup float* weight_tile = memory;
  threadgroup float* token_tile = memory + kMaxTile * kStride;

  const uint first_token = place.x * kTileTokens;
  const uint first_row = place.y * kTileRows;
  const uint tokens_end = uint(max(span.tokens - int(args.first), 0));
  if (first_token >= tokens_end) return;

  const uint across = kTileTokens / kSimdTokens / 8;  // accumulators of a simdgroup: at most 4 each way
  const uint along = kTileRows / kSimdRows / 8;
  const uint own_token = simdgroup / kSimdRows * across * 8;
  const uint own_row = simdgroup % kSimdRows * along * 8;
  simdgroup_float8x8 sums[4][4];
#pragma unroll
  for (uint i = 0; i < across; ++i) {
#pragma unroll
    for (uint j = 0; j < along; ++j) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }

  Step<Format> step;
  step.load(quants, scales, x, args, first_row, first_token, tokens_end, 0, thread_index);
  const uint cols = args.row_chunks * Format::kCols;
  for (uint col = 0; col < cols; col += kTileCols) {
    step.store(weight_tile, token_tile, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (col + kTileCols < cols) {
      step.load(quants, scales, x, args, first_row, first_token, tokens_end, col + kTileCols, thread_index);
    }
#pragma unroll
    for (uint k = 0; k < kTileCols; k += 8) {
      simdgroup_float8x8 right[4];
#pragma unroll
      for (uint j = 0; j < along; ++j) {  // stored [row][column]: transposed on the way
        simdgroup_load(right[j], weight_tile + (own_row + 8 * j) * kStride + k, kStride, ulong2(0, 0), true);
      }
#pragma unroll
      for (uint i = 0; i < across; ++i) {
        if (first_token + own_token + 8 * i >= tokens_end) continue;  // a short prompt costs what it has
        simdgroup_float8x8 left;
        simdgroup_load(left, token_tile + (own_token + 8 * i) * kStride + k, kStride);
#pragma unroll
        for (uint j = 0; j < along; ++j) simdgroup_multiply_accumulate(sums[i][j], left, right[j], sums[i][j]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

#pragma unroll
  for (uint i = 0; i < across; ++i) {
#pragma unroll
    for (uint j = 0; j < along; ++j) {
      simdgroup_store(sums[i][j], memory + (own_token + 8 * i) * kOutStride + own_row + 8 * j, kOutStride);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  write_tile(memory, args, first_row, first_token, tokens_end, thread_index, y);
}

#define LATTICE_GEMM(name, format)                                                                              \
  template [[host_name(name)]] [[kernel]] void gemm<format>(                                                    \
      device const PromptSpan&, device const uint4*, device const half*, device const float*, device float*,    \
      constant GemmArgs&, uint2, uint, uint)

LATTICE_GEMM("gemm_f32", FormatF32);
LATTICE_GEMM("gemm_f16", FormatF16);
LATTICE_GEMM("gemm_bf16", FormatBF16);
LATTICE_GEMM("gemm_q8_0", FormatQ8_0);
LATTICE_GEMM("gemm_q4_0", FormatQ4_0);
