// y = W x for one vector, as gemv.metal has it, for weights that are bytes or fit into them: integers are multiplied, in
// tensor cores where there are some, so that hardly more than a load is spent on a weight.
//
// The input becomes integers that have what floats have, in planes of bytes (planes.h), so that the sums are those of floats but for
// their order. Every threadgroup makes them for itself; where who made the input has done that already, gemv_planes.metal reads them.
//
// Between one dispatch and the next there is little but instructions to wait for: what can be known when this is compiled is.

#include <metal_stdlib>

#include "gemv_tiles.h"
#include "head_norm.h"

using namespace metal;
using namespace lattice_gpu;

constant bool kLong [[function_constant(LATTICE_FC_LONG)]];

constant constexpr uint kMaxLoads = LATTICE_STAGE_COLS / 4 / 32;
constant constexpr uint kPlaneGroups = LATTICE_STAGE_COLS / kGroupCols + 4;  // planes begin in different banks

constant uint kThreads = max(kSimdgroups, 1u) * 32;

namespace lattice_gpu {

/// The input, in threadgroup memory.
struct Stage {
  threadgroup uint4* planes;   // [Format::kPlanes + 1][kPlaneGroups], high bytes first; the last is zeros
  threadgroup float2* scales;  // of 16 columns: 2^e, and −2^e times what a lane's sum of two planes has too much
};

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

/// x of eight neighbouring lanes, which have 32 columns.
inline float sum_of_eight(float x) {
  x += lattice_simd_shuffle_xor(x, 1);
  x += lattice_simd_shuffle_xor(x, 2);
  return x + lattice_simd_shuffle_xor(x, 4);
}

inline uint4 integers_of(bool nibbles, float4 x, float factor) {
  return uint4(integer_of(nibbles, x.x, factor), integer_of(nibbles, x.y, factor), integer_of(nibbles, x.z, factor),
               integer_of(nibbles, x.w, factor));
}

/// Puts digits of four columns into the planes, at vector `i`.
inline void store_bytes(uint4 integers, threadgroup uint* words, uint i) {
  const uint4 digits = uint4(byte_digits(integers.x), byte_digits(integers.y), byte_digits(integers.z), byte_digits(integers.w));
#pragma unroll
  for (uint p = 0; p < 3; ++p) {
    const uint4 d = digits >> (8 * (2 - p));
    words[p * kPlaneGroups * 4 + i] = (d.x & 0xffu) | (d.y & 0xffu) << 8 | (d.z & 0xffu) << 16 | d.w << 24;
  }
}

/// Likewise of what bytes of two weights meet: in a group of 16 columns first the odd ones, then 16 times the even less the odd ones.
inline void store_nibbles(uint4 integers, threadgroup ushort* halves, uint i) {
  const uint2 high = uint2(byte_digits(integers.y), byte_digits(integers.w));
  const uint2 low = uint2(byte_digits(16 * integers.x - integers.y), byte_digits(16 * integers.z - integers.w));
#pragma unroll
  for (uint p = 0; p < 4; ++p) {
    threadgroup ushort* plane = halves + p * kPlaneGroups * 8 + i / 4 * 8 + i % 4;
    plane[0] = lattice_byte_pair(high.x, high.y, 3 - p);
    plane[4] = lattice_byte_pair(low.x, low.y, 3 - p);
  }
}

/// Puts a thread's share into the stage, of `vectors` in all, times the norm's weight, or what their head's norm has left; `first` is
/// the stage's first vector of x. Returns what its eight neighbours have of Σ x² before that.
template <typename Format>
inline float store_stage(thread const VectorLoads& loads, thread const VectorLoads& norm, device const float* head_squares,
                         constant GemvArgs& args, Stage stage, uint first, uint vectors, uint thread_index) {
  float squares = 0;
#pragma unroll
  for (uint n = 0; n < kLoads; ++n) {
    const uint i = thread_index + n * kThreads;
    if (i - thread_index % 32 >= vectors) break;  // all of a simdgroup goes
    float4 v = loads.values[n];
    if (kNorm == LATTICE_NORM_HEADS && (first + i) * 4 < args.cols) {
      v *= head_factor(head_squares, (first + i) / max(kHeadVectors, 1u), kHeadParts, kHeadVectors * 4, args.epsilon);
    }
    if (kRmsNorm) {
      squares += sum_of_eight(dot(v, v));  // here and not once at the end: beside the largest, which has as long a way
      v *= norm.values[n];
    }
    const uint4 size = as_type<uint4>(v) & 0x7fffffffu;
    uint largest = max(max(size.x, size.y), max(size.z, size.w));
    largest = max(largest, lattice_simd_shuffle_xor(largest, 1));
    largest = max(largest, lattice_simd_shuffle_xor(largest, 2));
    largest = max(largest, lattice_simd_shuffle_xor(largest, 4));
    const float evens = Format::kNibbles ? sum_of_eight(v.x + v.z) : 0.0f;
    const float factor = to_integers(Format::kNibbles, largest);
    const uint4 integers = integers_of(Format::kNibbles, v, factor);
    if (Format::kNibbles) {
      store_nibbles(integers, reinterpret_cast<threadgroup ushort*>(stage.planes), i);
    } else {
      store_bytes(integers, reinterpret_cast<threadgroup uint*>(stage.planes), i);
    }
    if (i % 4 == 0) stage.scales[i / 4] = scale_and_start(Format::kNibbles, largest, int(evens * factor), i / 4 % 2 != 0);
  }
  return squares;
}

/// The input as a lane reads it, from the lane's first group of the stage on.
struct StagedInput {
  lattice_byte_operand operand;
  threadgroup const float2* scales;
};

/// Multiplies round `round` of the stage; a unit that is done with is replaced by what is loaded from unit `next` on, if there is more.
/// Two calls with constants, and not one that is told whether there is: the compiler would join the conditions behind the last product.
template <typename Format>
inline void multiply_round(thread Unit* units, thread const StagedInput& x, uint round, bool more, thread const TileRows& rows, uint next,
                           uint row_groups, thread float* sums) {
#pragma unroll
  for (uint u = 0; u < kUnroll; ++u) {
    const uint unit_group = (round * kRoundUnits + u * kStepUnits) * unit_groups<Format>();
#pragma unroll
    for (uint step = 0; step < Format::kTileSteps; ++step) {
      const uint at = unit_group + 2 * step;
      multiply_step<Format>(units[u], step, lattice_pair_fragment(x.operand, at), x.operand, x.scales[at], 1.0f, sums);
    }
    if (more) load_unit<Format>(rows, next, u * kStepUnits, row_groups, units[u]);
  }
}

}  // namespace lattice_gpu

/// quants and scales, tiles of units (tiles.h), · x [cols] → y [rows], or [rows / 2] with SwiGLU. Threadgroups: ⌈rows / (ROWS ·
/// SIMDGROUPS / SPLIT)⌉ of SIMDGROUPS · 32 threads. norm is an RMSNorm's weight or what head_norm.h wants; x is padded with zeros to
/// row_chunks · kCols, and so is such a weight. With TO_PLANES a threadgroup's outputs are a multiple of 32: SwiGLU's are left in planes,
/// sums as floats and behind them in planes, for an RMSNorm with the weight next_norm [rows]. LOADS · SIMDGROUPS ·
/// 128 is the columns of a stage at least; ROUNDS says how often SPLIT · UNROLL goes into row_groups.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv_bytes(
    device const uint4* quants [[buffer(0)]], device const half2* scales [[buffer(1)]],
    device const float* x [[buffer(2)]], device const float* norm [[buffer(3)]], device float* y [[buffer(4)]],
    device const float* next_norm [[buffer(5)]], constant GemvArgs& args [[buffer(6)]], uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup uint4 planes[(Format::kPlanes + 1) * kPlaneGroups + 2];
  threadgroup float2 x_scales[LATTICE_STAGE_COLS / kGroupCols];
  threadgroup float partial[kMaxSimdgroups * kMaxTiles * kUnitRows];
  threadgroup float partial_squares[kMaxSimdgroups];

  lattice_allow_next();
  const uint group_row = group * kTeams * kRows;
  const uint own_unit = simdgroup % kSplit * kMemberUnits;
  const uint first_unit = kRounds == LATTICE_ROUNDS_ANY ? 0 : own_unit;
  const TileRows rows = tile_rows<Format>(quants, scales, args, group_row, first_unit, simdgroup, lane);
  constexpr uint kMostChunks = LATTICE_STAGE_COLS / Format::kCols;
  constexpr uint kVectors = Format::kCols / 4;
  const uint round_chunks = kRoundUnits * kUnitChunks;
  const uint stage_chunks = kMostChunks - kMostChunks % round_chunks;
  const uint padded_chunks = kRounds == LATTICE_ROUNDS_ANY ? (args.row_chunks + round_chunks - 1) / round_chunks * round_chunks
                             : kRounds == LATTICE_ROUNDS_ONE ? round_chunks
                                                             : args.row_chunks;

  Unit units[kMaxUnroll];
#pragma unroll
  for (uint u = 0; u < kUnroll; ++u) load_unit<Format>(rows, own_unit - first_unit, u * kStepUnits, args.row_groups, units[u]);
  const uint first_count = min(stage_chunks, args.row_chunks) * kVectors;
  VectorLoads weights = {};
  if (kRmsNorm) load_vectors(norm, 0, first_count, thread_index, weights);
  const Stage stage = {planes, x_scales};
  // The zeros lie where a lane that reads them is in no other's way: groups of a lane's neighbours are two apart where there are two steps.
  threadgroup uint4* zeros = planes + Format::kPlanes * kPlaneGroups + 2 * (Format::kTileSteps - 1);
  const uint zero_groups = min(stage_chunks, padded_chunks) * Format::kTileSteps;
#pragma unroll
  for (uint i = 0; i < (kPlaneGroups + kThreads - 1) / kThreads; ++i) {
    const uint at = thread_index + i * kThreads;
    if (at < zero_groups) zeros[at] = uint4(0);
  }
  const uint own_group = own_unit * unit_groups<Format>() + lane_group<Format>(lane);
  const lattice_byte_operand operand =
      lattice_make_pair_operand(planes + own_group, Format::kPlanes, kPlaneGroups, zeros + own_group, lane);
  threadgroup const float2* own_scales = x_scales + own_group;
  const Outputs outputs = outputs_of(group_row, args);
  const float next_weight = load_next_norm(next_norm, outputs, thread_index);
  lattice_wait_for_inputs();

  VectorLoads loads;
  load_vectors(x, 0, first_count, thread_index, loads);
  const float before = load_before(y, outputs, thread_index);

  float sums[2 * kMaxTiles] = {};
  float squares = 0;
  const StagedInput input = {operand, own_scales};
  const uint own_start = own_unit - first_unit;
  const uint rounds = padded_chunks / round_chunks;
  const uint stage_rounds = stage_chunks / round_chunks;
  uint round = 0;  // of the stage
  for (uint first = 0;; first += stage_chunks) {
    if (first > 0) threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint staged = min(stage_chunks, padded_chunks - first) * kVectors;
    squares += store_stage<Format>(loads, weights, norm, args, stage, first * kVectors, staged, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint after = first + stage_chunks;
    const bool is_last = !kLong || after >= args.row_chunks;
    if (!is_last) {
      const uint next_count = min(stage_chunks, args.row_chunks - after) * kVectors;
      load_vectors(x, after * kVectors, next_count, thread_index, loads);
      if (kRmsNorm) load_vectors(norm, after * kVectors, next_count, thread_index, weights);
    }
    const uint first_round = first / round_chunks;
    const uint reloading = is_last ? rounds - 1 - first_round : stage_rounds;
    for (round = 0; round < reloading; ++round) {
      const uint next = (first_round + round + 1) * kRoundUnits + own_start;
      multiply_round<Format>(units, input, round, true, rows, next, args.row_groups, sums);
    }
    if (is_last) break;
  }
  multiply_round<Format>(units, input, round, false, rows, 0, args.row_groups, sums);
  store_sums<Format>(sums, simdgroup, lane, partial);
  if (kRmsNorm) {
    squares += lattice_simd_shuffle_xor(squares, 8);
    squares += lattice_simd_shuffle_xor(squares, 16);
    if (lane == 0) partial_squares[simdgroup] = squares;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index >= outputs.count) return;

  float factor = 1;
  if (kRmsNorm) {
    squares = 0;
#pragma unroll
    for (uint s = 0; s < kSimdgroups; ++s) squares += partial_squares[s];
    factor = precise::rsqrt(squares / float(args.cols) + args.epsilon);
  }
  store_outputs(partial, outputs, thread_index, factor, before, next_weight, args, y);
}

#define LATTICE_GEMV_BYTES(name, format)                                                                              \
  template [[host_name(name)]] [[kernel]] void gemv_bytes<format>(                                                    \
      device const uint4*, device const half2*, device const float*, device const float*, device float*,              \
      device const float*, constant GemvArgs&, uint, uint, uint, uint)

LATTICE_GEMV_BYTES("gemv_bytes_q8_0", FormatQ8_0);
LATTICE_GEMV_BYTES("gemv_bytes_q4_0", FormatQ4_0);
