// y = W x for one vector, the heart of a decode step: reads every weight once and does nothing else with memory.
//
// A simdgroup owns ROWS rows; SPLIT simdgroups of a threadgroup may share the rows' columns, so that a matrix of few rows
// still keeps every core's loads in flight. Lanes stride over the columns in chunks of 16 bytes. The input is staged in threadgroup
// memory once for all of the threadgroup's simdgroups, in the order in which lanes want it: vector i of every chunk, then
// vector i + 1, so that the lanes of a simdgroup read side by side.
//
// The first weights are asked for before the input is there: where dispatches overlap, memory is not idle between them.
//
// RMSNorm of x costs no pass of its own: W (x·r ⊙ n) = r · W (x ⊙ n) with r = 1/√(mean x² + ε), and every threadgroup
// sees all of x, so r is applied to the finished sums.

#include <metal_stdlib>

#include "activations.h"
#include "formats.h"
#include "head_norm.h"
#include "hints.h"
#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kRows [[function_constant(LATTICE_FC_ROWS)]];
constant uint kSplit [[function_constant(LATTICE_FC_SPLIT)]];
constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kUnroll [[function_constant(LATTICE_FC_UNROLL)]];
constant uint kNorm [[function_constant(LATTICE_FC_NORM)]];
constant uint kEpilogue [[function_constant(LATTICE_FC_EPILOGUE)]];
constant bool kAhead [[function_constant(LATTICE_FC_AHEAD)]];
constant bool kLong [[function_constant(LATTICE_FC_LONG)]];
constant uint kHeadVectors [[function_constant(LATTICE_FC_VECTORS)]];  // of LATTICE_NORM_HEADS
constant uint kHeadParts [[function_constant(LATTICE_FC_HEAD_PARTS)]];

constant constexpr uint kMaxRows = 8;
constant constexpr uint kMaxUnroll = 4;
constant constexpr uint kMaxSimdgroups = 16;
constant constexpr uint kMaxChunkVectors = 8;  // float4s of x that meet one chunk
constant constexpr uint kStageVectors = LATTICE_STAGE_COLS / 4;
constant constexpr uint kMaxStarts = LATTICE_STAGE_COLS / 16;  // two for each chunk of a format that has them
constant constexpr uint kMaxStageLoads = kStageVectors / 32;

constant bool kRmsNorm = kNorm == LATTICE_NORM_RMS;
constant uint kThreads = max(kSimdgroups, 1u) * 32;  // no zero to divide by, even where nothing is set yet
constant uint kStageLoads = (kStageVectors + kThreads - 1) / kThreads;  // of a thread, to fill the stage

namespace lattice_gpu {

/// The rows of one simdgroup, and what of them a lane reads.
struct Rows {
  device const uint4* quants;
  device const half* scales;
  uint row_chunks;
  uint row_blocks;
  uint last;  // of the rows that the matrix has, counted from the first here
};

/// What a lane loads at once.
struct Tile {
  Chunk chunks[kMaxUnroll][kMaxRows];
};

/// Chunks c, c + SPLIT · 32, … of every row. Beyond a row's end its last chunk: it meets zeros.
template <typename Format>
inline void load_tile(Rows rows, uint c, thread Tile& tile) {
#pragma unroll
  for (uint u = 0; u < kUnroll; ++u) {
    const uint at = min(c + u * kSplit * 32, rows.row_chunks - 1);
#pragma unroll
    for (uint r = 0; r < kRows; ++r) {
      const uint row = min(r, rows.last);
      tile.chunks[u][r] = Format::load(rows.quants + row * rows.row_chunks, rows.scales + row * rows.row_blocks, at);
    }
  }
}

/// Vector `i` of chunk `c` of a stage. Rows of the stage are one vector longer than they need be, so that the writes below
/// do not meet in one bank.
template <typename Format>
inline uint stage_index(uint c, uint i) {
  return i * (LATTICE_STAGE_COLS / Format::kCols + 1) + c;
}

/// Adds a tile's products to `sums`; `c` is the lane's first chunk in the stage.
template <typename Format>
inline void multiply_tile(thread const Tile& tile, threadgroup const float4* stage, threadgroup const float2* starts,
                          uint c, thread float* sums) {
#pragma unroll
  for (uint u = 0; u < kUnroll; ++u) {
    float input[Format::kCols];
#pragma unroll
    for (uint i = 0; i < Format::kCols / 4; ++i) {
      const float4 v = stage[stage_index<Format>(c + u * kSplit * 32, i)];
#pragma unroll
      for (uint j = 0; j < 4; ++j) input[4 * i + j] = v[j];
    }
    const float2 start = Format::kHasStart ? starts[c + u * kSplit * 32] : float2(0.0f);
#pragma unroll
    for (uint r = 0; r < kRows; ++r) sums[r] += Format::dot(tile.chunks[u][r], input, start);
  }
}

/// What a thread brings to the stage.
struct StageLoads {
  float4 values[kMaxStageLoads];
};

/// Asks for `count` chunks of the input, from `first` on; zeros beyond.
template <typename Format>
inline void load_stage(device const float* x, uint first, uint count, uint thread_index, thread StageLoads& loads) {
  constexpr uint kVectors = Format::kCols / 4;
#pragma unroll
  for (uint n = 0; n < kStageLoads; ++n) {
    const uint i = thread_index + n * kThreads;
    loads.values[n] =
        i < count * kVectors ? reinterpret_cast<device const float4*>(x)[first * kVectors + i] : float4(0.0f);
  }
}

/// Puts them into the stage, scaled by the norm's weight or by what their head's norm has left, with the zeros up to `padded` chunks, and what sums start from
/// into `starts`: a float for every four vectors, which neighbouring lanes have. Returns this thread's share of
/// Σ x² before that scaling.
template <typename Format>
inline float store_stage(thread StageLoads& loads, device const float* norm, device const float* head_squares, float epsilon,
                         threadgroup float4* stage, threadgroup float2* starts, uint first, uint count, uint padded,
                         uint thread_index) {
  constexpr uint kVectors = Format::kCols / 4;
  float squares = 0;
#pragma unroll
  for (uint n = 0; n < kStageLoads; ++n) {
    const uint i = thread_index + n * kThreads;
    if (i >= padded * kVectors) break;
    float4 v = loads.values[n];
    if (kNorm == LATTICE_NORM_HEADS && i < count * kVectors) {
      v *= head_factor(head_squares, (first * kVectors + i) / max(kHeadVectors, 1u), kHeadParts, kHeadVectors * 4, epsilon);
    }
    if (kRmsNorm && i < count * kVectors) {
      squares += dot(v, v);
      v *= reinterpret_cast<device const float4*>(norm)[first * kVectors + i];
    }
    stage[stage_index<Format>(i / kVectors, i % kVectors)] = v;
    if (Format::kHasStart) {
      float sum = v.x + v.y + v.z + v.w;
      sum += lattice_simd_shuffle_xor(sum, 1);
      sum += lattice_simd_shuffle_xor(sum, 2);
      if (i % 4 == 0) reinterpret_cast<threadgroup float*>(starts)[i / 4] = Format::start(sum);
    }
  }
  return squares;
}

inline void write_rows(device float* y, constant GemvArgs& args, uint first_row, thread const float* before,
                       thread const float* sums) {
  if (kEpilogue == LATTICE_EPILOGUE_SWIGLU) {
#pragma unroll
    for (uint r = 0; r + 1 < kRows; r += 2) {
      if (first_row + r < args.rows) y[(first_row + r) / 2] = silu(sums[r]) * sums[r + 1];
    }
    return;
  }
#pragma unroll
  for (uint r = 0; r < kRows; ++r) {
    if (first_row + r >= args.rows) break;
    y[first_row + r] = before[r] + sums[r];  // zeros before, without LATTICE_EPILOGUE_ADD
  }
}

}  // namespace lattice_gpu

/// quants [rows, row_chunks] · x [cols] → y [rows], or [rows / 2] with SwiGLU. Threadgroups: ⌈rows / (ROWS · SIMDGROUPS /
/// SPLIT)⌉ of SIMDGROUPS · 32 threads. x is padded with zeros to row_chunks · kCols, and so is norm.
/// head_squares is gdn_step's, of x.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv(
    device const uint4* quants [[buffer(0)]], device const half* scales [[buffer(1)]],
    device const float* x [[buffer(2)]], device const float* norm [[buffer(3)]],
    device const float* head_squares [[buffer(4)]], device float* y [[buffer(5)]], constant GemvArgs& args [[buffer(6)]], uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float4 stage[kStageVectors + kMaxChunkVectors];
  threadgroup float2 starts[kMaxStarts / 2];
  threadgroup float partial[kMaxSimdgroups * kMaxRows];
  threadgroup float partial_squares[kMaxSimdgroups];

  lattice_allow_next();
  const uint teams = kSimdgroups / kSplit;  // of SPLIT simdgroups, each with rows of its own
  const uint member = simdgroup % kSplit;
  const uint first_row = (group * teams + simdgroup / kSplit) * kRows;
  const uint own_row = min(first_row, args.rows - 1);  // a simdgroup without rows keeps the others company
  const Rows rows = {quants + ulong(own_row) * args.row_chunks, scales + ulong(own_row) * args.row_blocks,
                     args.row_chunks, args.row_blocks, args.rows - 1 - own_row};
  const uint own_chunk = member * 32 + lane;
  const uint tile_chunks = kSplit * 32 * kUnroll;
  constexpr uint kMostChunks = LATTICE_STAGE_COLS / Format::kCols;
  const uint stage_chunks = kMostChunks - kMostChunks % tile_chunks;

  Tile tile;
  load_tile<Format>(rows, own_chunk, tile);
  if (kRmsNorm && group == 0 && thread_index == 0) lattice_prefetch(norm, args.row_chunks * Format::kCols * 4);
  lattice_wait_for_inputs();

  const bool writes = member == 0 && lane == 0 && first_row < args.rows;
  float before[kMaxRows] = {};
  if (kEpilogue == LATTICE_EPILOGUE_ADD && writes) {
#pragma unroll
    for (uint r = 0; r < kRows; ++r) before[r] = y[min(first_row + r, args.rows - 1)];
  }
  float sums[kMaxRows] = {};
  float squares = 0;
  StageLoads loads;
  load_stage<Format>(x, 0, min(stage_chunks, args.row_chunks), thread_index, loads);
  for (uint first = 0; first == 0 || (kLong && first < args.row_chunks); first += stage_chunks) {
    const uint count = min(stage_chunks, args.row_chunks - first);
    const uint tiles = (count + tile_chunks - 1) / tile_chunks;
    if (first > 0) threadgroup_barrier(mem_flags::mem_threadgroup);
    squares += store_stage<Format>(loads, norm, head_squares, args.epsilon, stage, starts, first, count, tiles * tile_chunks, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint after = first + stage_chunks;
    if (kLong && after < args.row_chunks) {
      load_stage<Format>(x, after, min(stage_chunks, args.row_chunks - after), thread_index, loads);
    }
    for (uint t = 0; t < tiles; ++t) {
      const uint c = t * tile_chunks + own_chunk;
      const bool more = first + (t + 1) * tile_chunks < args.row_chunks;
      if (kAhead) {
        Tile next;
        if (more) load_tile<Format>(rows, first + c + tile_chunks, next);
        multiply_tile<Format>(tile, stage, starts, c, sums);
        tile = next;
      } else {
        multiply_tile<Format>(tile, stage, starts, c, sums);
        if (more) load_tile<Format>(rows, first + c + tile_chunks, tile);
      }
    }
  }
#pragma unroll
  for (uint r = 0; r < kRows; ++r) sums[r] = lattice_simd_sum(sums[r]);
  if (kRmsNorm) squares = lattice_simd_sum(squares);

  if (kRmsNorm || kSplit > 1) {
    if (lane == 0) {
#pragma unroll
      for (uint r = 0; r < kRows; ++r) partial[simdgroup * kMaxRows + r] = sums[r];
      partial_squares[simdgroup] = squares;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  if (!writes) return;
  for (uint m = 1; m < kSplit; ++m) {
#pragma unroll
    for (uint r = 0; r < kRows; ++r) sums[r] += partial[(simdgroup + m) * kMaxRows + r];
  }
  if (kRmsNorm) {
    squares = 0;
    for (uint s = 0; s < kSimdgroups; ++s) squares += partial_squares[s];
    const float factor = precise::rsqrt(squares / float(args.cols) + args.epsilon);
#pragma unroll
    for (uint r = 0; r < kRows; ++r) sums[r] *= factor;
  }
  write_rows(y, args, first_row, before, sums);
}

#define LATTICE_GEMV(name, format)                                                                                \
  template [[host_name(name)]] [[kernel]] void gemv<format>(                                                      \
      device const uint4*, device const half*, device const float*, device const float*, device const float*,     \
      device float*,                                                                                              \
      constant GemvArgs&, uint, uint, uint, uint)

LATTICE_GEMV("gemv_f32", FormatF32);
LATTICE_GEMV("gemv_f16", FormatF16);
LATTICE_GEMV("gemv_bf16", FormatBF16);
LATTICE_GEMV("gemv_q8_0", FormatQ8_0);
LATTICE_GEMV("gemv_q4_0", FormatQ4_0);
