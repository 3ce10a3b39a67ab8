// y = W x for one vector, as gemv.metal has it, for weights that are bytes or fit into them: integers are multiplied, in
// tensor cores where there are some, so that hardly more than a load is spent on a weight.
//
// The input becomes integers of 23 bits, by the exponent of the largest of 32 neighbours, and these three planes of signed
// bytes: x = 2^e (65536 high + 256 middle + low). So the sums are those of floats but for their order.
//
// A simdgroup owns tiles of 16 rows: lane l has rows l / 4 and l / 4 + 8, and of four neighbouring chunks the one at l % 4, which
// is how lattice_byte_dots() wants them. SPLIT simdgroups share the rows' columns. Weights are asked for before the input is there; a chunk
// is replaced by the one UNROLL steps ahead as soon as it is multiplied.

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
constant bool kLong [[function_constant(LATTICE_FC_LONG)]];
constant uint kLoads [[function_constant(LATTICE_FC_LOADS)]];
constant uint kRounds [[function_constant(LATTICE_FC_ROUNDS)]];
constant uint kHeadVectors [[function_constant(LATTICE_FC_VECTORS)]];  // of LATTICE_NORM_HEADS
constant uint kHeadParts [[function_constant(LATTICE_FC_HEAD_PARTS)]];

constant constexpr uint kTileRows = 16;
constant constexpr uint kTileChunks = 4;  // of a row, side by side in four lanes
constant constexpr uint kMaxTiles = 2;
constant constexpr uint kMaxUnroll = 8;
constant constexpr uint kMaxSimdgroups = 16;
constant constexpr uint kMaxLoads = LATTICE_STAGE_COLS / 4 / 32;
constant constexpr uint kPlanes = 3;
constant constexpr uint kGroupCols = 16;  // of 16 bytes in a plane
constant constexpr uint kPlaneGroups = LATTICE_STAGE_COLS / kGroupCols + 4;  // planes begin in different banks
constant constexpr uint kScaleCols = 32;

// A simdgroup's chunks lie together where a row is but one round; otherwise those of all of a threadgroup's, step for step.
constant uint kStepChunks = kTileChunks * (kRounds == LATTICE_ROUNDS_MANY ? kSplit : 1);
constant uint kMemberChunks = kTileChunks * (kRounds == LATTICE_ROUNDS_MANY ? 1 : kUnroll);
constant bool kRmsNorm = kNorm == LATTICE_NORM_RMS;
constant uint kThreads = max(kSimdgroups, 1u) * 32;
constant uint kTiles = kRows / kTileRows;

namespace lattice_gpu {

/// The input, in threadgroup memory.
struct Stage {
  threadgroup uint4* planes;  // [kPlanes + 1][kPlaneGroups], high bytes first; the last is zeros
  threadgroup float* scales;  // 2^e of 16 columns
};

/// What a lane loads at once: of two rows of each tile a chunk.
struct ByteTile {
  Chunk chunks[2 * kMaxTiles];
};

/// A lane's rows.
struct ByteRows {
  device const uint4* quants[2 * kMaxTiles];
  device const half* scales[2 * kMaxTiles];
};

/// Chunks `from` + `steps` of the rows, of which `steps` is known when this is compiled; beyond a row's end its last one, which
/// meets zeros.
template <typename Format>
inline void load_bytes(thread const ByteRows& rows, uint from, uint steps, uint row_chunks, thread ByteTile& tile) {
  constexpr uint kScaleChunks = kScaleCols / Format::kCols;
#pragma unroll
  for (uint r = 0; r < 2 * kTiles; ++r) {
    if (kRounds == LATTICE_ROUNDS_ANY) {
      tile.chunks[r] = Format::load(rows.quants[r], rows.scales[r], min(from + steps, row_chunks - 1));
    } else {
      tile.chunks[r].bits = lattice_load_streamed(rows.quants[r] + from + steps);
      tile.chunks[r].scale = (rows.scales[r] + from / kScaleChunks)[steps / kScaleChunks];
    }
  }
}

/// Adds a tile's products to `sums`; `c` is the lane's chunk in the stage.
template <typename Format>
inline void multiply_bytes(thread const ByteTile& tile, lattice_byte_operand x, threadgroup const float* x_scales, uint c,
                           thread float* sums) {
  const float scale = Format::kByteScale * x_scales[c * Format::kByteGroups];
#pragma unroll
  for (uint t = 0; t < kTiles; ++t) {
    lattice_byte_sums products = {};
#pragma unroll
    for (uint i = 0; i < Format::kByteGroups; ++i) {
      lattice_byte_dots(products, Format::bytes(tile.chunks[2 * t].bits, i), Format::bytes(tile.chunks[2 * t + 1].bits, i), x,
                        c * Format::kByteGroups + i);
    }
    const int4 upper = products.upper;
    const int4 low = products.low;
    const float2 sum = {fma(float(upper.x * 256 + upper.y), 256.0f, float(low.x)),
                        fma(float(upper.z * 256 + upper.w), 256.0f, float(low.z))};
    sums[2 * t] = fma(float(tile.chunks[2 * t].scale) * scale, sum.x, sums[2 * t]);
    sums[2 * t + 1] = fma(float(tile.chunks[2 * t + 1].scale) * scale, sum.y, sums[2 * t + 1]);
  }
}

/// A thread's share of the input, or of the norm's weight.
struct VectorLoads {
  float4 values[kMaxLoads];
};

/// Asks for `count` vectors, from `first` on; zeros beyond.
inline void load_vectors(device const float* x, uint first, uint count, uint thread_index, thread VectorLoads& loads) {
#pragma unroll
  for (uint n = 0; n < kLoads; ++n) {
    const uint i = thread_index + n * kThreads;
    loads.values[n] = i < count ? reinterpret_cast<device const float4*>(x)[first + i] : float4(0.0f);
  }
}

/// Four values as integers of three signed digits of a byte each: the digits of v + 0x808080, less 0x80 each. `to_integers` is
/// such that |v| < 2^22; adding 1.5 · 2^23 leaves the nearest integer in a float's last bits.
inline uint4 byte_digits(float4 x, float to_integers) {
  const uint4 bits = as_type<uint4>(fma(x, float4(to_integers), float4(12582912.0f)));
  return (bits + (0x00808080u - 0x4b400000u)) ^ 0x00808080u;
}

/// Byte `i` of each.
inline uint digits_of_plane(uint4 digits, uint i) {
  const uint4 d = digits >> (8 * i);
  return (d.x & 0xffu) | (d.y & 0xffu) << 8 | (d.z & 0xffu) << 16 | d.w << 24;
}

/// Puts a thread's share into the stage, times the norm's weight, or what their head's norm has left; `first` is the stage's first
/// vector of x. Returns what its eight neighbours have of
/// Σ x² before that.
inline float store_stage(thread const VectorLoads& loads, thread const VectorLoads& norm, device const float* head_squares,
                         constant GemvArgs& args, Stage stage, uint first, uint thread_index) {
  constexpr uint kSmallest = 22;  // biased exponents: 2^e and its inverse are floats
  constexpr uint kLargest = 254;
  threadgroup uint* words = reinterpret_cast<threadgroup uint*>(stage.planes);
  float squares = 0;
#pragma unroll
  for (uint n = 0; n < kLoads; ++n) {
    const uint i = thread_index + n * kThreads;
    float4 v = loads.values[n];
    if (kNorm == LATTICE_NORM_HEADS && (first + i) * 4 < args.cols) {
      v *= head_factor(head_squares, (first + i) / max(kHeadVectors, 1u), kHeadParts, kHeadVectors * 4, args.epsilon);
    }
    if (kRmsNorm) {
      squares += dot(v, v);
      v *= norm.values[n];
    }
    const uint4 size = as_type<uint4>(v) & 0x7fffffffu;
    uint largest = max(max(size.x, size.y), max(size.z, size.w));
    largest = max(largest, lattice_simd_shuffle_xor(largest, 1));
    largest = max(largest, lattice_simd_shuffle_xor(largest, 2));
    largest = max(largest, lattice_simd_shuffle_xor(largest, 4));
    const uint exponent = clamp(largest >> 23, kSmallest, kLargest);
    const uint4 digits = byte_digits(v, as_type<float>((275u - exponent) << 23));
    if (i >= LATTICE_STAGE_COLS / 4) continue;
#pragma unroll
    for (uint p = 0; p < kPlanes; ++p) words[p * kPlaneGroups * 4 + i] = digits_of_plane(digits, kPlanes - 1 - p);
    if (i % 4 == 0) {
      // Infinity and what is no number make no number of all that they meet.
      stage.scales[i / 4] = as_type<float>(largest >> 23 > kLargest ? 0x7fc00000u : (exponent - 21u) << 23);
    }
  }
  if (kRmsNorm) {  // beside the sums above, which have as long a way
    squares += lattice_simd_shuffle_xor(squares, 1);
    squares += lattice_simd_shuffle_xor(squares, 2);
    squares += lattice_simd_shuffle_xor(squares, 4);
  }
  return squares;
}

/// What the simdgroups that share a row have of it; `row` counts from the threadgroup's first.
inline float row_total(threadgroup const float* partial, uint row) {
  float sum = 0;
#pragma unroll
  for (uint m = 0; m < kSplit; ++m) sum += partial[(row / kRows * kSplit + m) * kRows + row % kRows];
  return sum;
}

}  // namespace lattice_gpu

/// quants [rows, row_chunks] · x [cols] → y [rows], or [rows / 2] with SwiGLU. Threadgroups: ⌈rows / (ROWS · SIMDGROUPS /
/// SPLIT)⌉ of SIMDGROUPS · 32 threads. x is padded with zeros to row_chunks · kCols, and so is norm. LOADS · SIMDGROUPS · 128 is
/// the columns of a stage at least; ROUNDS says how often 4 · SPLIT · UNROLL goes into row_chunks.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv_bytes(
    device const uint4* quants [[buffer(0)]], device const half* scales [[buffer(1)]],
    device const float* x [[buffer(2)]], device const float* norm [[buffer(3)]],
    device const float* head_squares [[buffer(4)]], device float* y [[buffer(5)]], constant GemvArgs& args [[buffer(6)]], uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup uint4 planes[(kPlanes + 1) * kPlaneGroups];
  threadgroup float x_scales[LATTICE_STAGE_COLS / kGroupCols];
  threadgroup float partial[kMaxSimdgroups * kMaxTiles * kTileRows];
  threadgroup float partial_squares[kMaxSimdgroups];

  lattice_allow_next();
  const uint teams = kSimdgroups / kSplit;  // of SPLIT simdgroups, each with rows of its own
  const uint member = simdgroup % kSplit;
  const uint group_row = group * teams * kRows;
  const uint first_row = group_row + simdgroup / kSplit * kRows;
  ByteRows rows;
#pragma unroll
  for (uint r = 0; r < 2 * kTiles; ++r) {  // beyond the last row the last once more
    const uint row = min(first_row + r * (kTileRows / 2) + lane / kTileChunks, args.rows - 1);
    rows.quants[r] = quants + ulong(row) * args.row_chunks;
    rows.scales[r] = scales + ulong(row) * args.row_blocks;
  }
  const uint own_chunk = member * kMemberChunks + lane % kTileChunks;
  const uint round_chunks = kSplit * kUnroll * kTileChunks;
  constexpr uint kMostChunks = LATTICE_STAGE_COLS / Format::kCols;
  const uint stage_chunks = kMostChunks - kMostChunks % round_chunks;
  constexpr uint kVectors = Format::kCols / 4;

  ByteTile tiles[kMaxUnroll];
#pragma unroll
  for (uint u = 0; u < kUnroll; ++u) load_bytes<Format>(rows, own_chunk, u * kStepChunks, args.row_chunks, tiles[u]);
  const uint first_count = min(stage_chunks, args.row_chunks) * kVectors;
  VectorLoads weights = {};
  if (kRmsNorm) load_vectors(norm, 0, first_count, thread_index, weights);
  const Stage stage = {planes, x_scales};
#pragma unroll
  for (uint i = 0; i < (kPlaneGroups + kThreads - 1) / kThreads; ++i) {
    const uint at = thread_index + i * kThreads;
    if (at < kPlaneGroups) planes[kPlanes * kPlaneGroups + at] = uint4(0);
  }
  threadgroup const uint4* zeros = planes + kPlanes * kPlaneGroups;
  const lattice_byte_operand operand =
      lattice_make_byte_operand(planes, planes + kPlaneGroups, planes + 2 * kPlaneGroups, zeros, lane);
  lattice_wait_for_inputs();

  VectorLoads loads;
  load_vectors(x, 0, first_count, thread_index, loads);
  const uint outputs = min(teams * kRows, args.rows - group_row) / (kEpilogue == LATTICE_EPILOGUE_SWIGLU ? 2 : 1);
  const uint first_output = group_row / (kEpilogue == LATTICE_EPILOGUE_SWIGLU ? 2 : 1);
  float before = 0;
  if (kEpilogue == LATTICE_EPILOGUE_ADD && thread_index < outputs) before = y[first_output + thread_index];

  float sums[2 * kMaxTiles] = {};
  float squares = 0;
  for (uint first = 0; first == 0 || (kLong && first < args.row_chunks); first += stage_chunks) {
    const uint count = min(stage_chunks, args.row_chunks - first);
    if (first > 0) threadgroup_barrier(mem_flags::mem_threadgroup);
    squares += store_stage(loads, weights, head_squares, args, stage, first * kVectors, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint after = first + stage_chunks;
    if (kLong && after < args.row_chunks) {
      const uint next_count = min(stage_chunks, args.row_chunks - after) * kVectors;
      load_vectors(x, after * kVectors, next_count, thread_index, loads);
      if (kRmsNorm) load_vectors(norm, after * kVectors, next_count, thread_index, weights);
    }
    for (uint base = 0; base == 0 || (kRounds != LATTICE_ROUNDS_ONE && base < count); base += round_chunks) {
      const uint own = base + own_chunk;
      const bool more = kRounds != LATTICE_ROUNDS_ONE && first + base + round_chunks < args.row_chunks;  // for all lanes alike
#pragma unroll
      for (uint u = 0; u < kUnroll; ++u) {
        multiply_bytes<Format>(tiles[u], operand, x_scales, own + u * kStepChunks, sums);
        if (more) load_bytes<Format>(rows, first + own + round_chunks, u * kStepChunks, args.row_chunks, tiles[u]);
      }
    }
  }
#pragma unroll
  for (uint r = 0; r < 2 * kTiles; ++r) {
    sums[r] += lattice_simd_shuffle_xor(sums[r], 1);
    sums[r] += lattice_simd_shuffle_xor(sums[r], 2);
    if (lane % kTileChunks == 0) partial[simdgroup * kRows + r * (kTileRows / 2) + lane / kTileChunks] = sums[r];
  }
  if (kRmsNorm) {
    squares += lattice_simd_shuffle_xor(squares, 8);
    squares += lattice_simd_shuffle_xor(squares, 16);
    if (lane == 0) partial_squares[simdgroup] = squares;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index >= outputs) return;

  float factor = 1;
  if (kRmsNorm) {
    squares = 0;
#pragma unroll
    for (uint s = 0; s < kSimdgroups; ++s) squares += partial_squares[s];
    factor = precise::rsqrt(squares / float(args.cols) + args.epsilon);
  }
  if (kEpilogue == LATTICE_EPILOGUE_SWIGLU) {
    const float gate = factor * row_total(partial, 2 * thread_index);
    y[first_output + thread_index] = silu(gate) * (factor * row_total(partial, 2 * thread_index + 1));
  } else {
    y[first_output + thread_index] = before + factor * row_total(partial, thread_index);
  }
}

#define LATTICE_GEMV_BYTES(name, format)                                                                              \
  template [[host_name(name)]] [[kernel]] void gemv_bytes<format>(                                                    \
      device const uint4*, device const half*, device const float*, device const float*, device const float*,         \
      device float*,                                                                                                  \
      constant GemvArgs&, uint, uint, uint, uint)

LATTICE_GEMV_BYTES("gemv_bytes_q8_0", FormatQ8_0);
LATTICE_GEMV_BYTES("gemv_bytes_q4_0", FormatQ4_0);
