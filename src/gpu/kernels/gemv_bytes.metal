// y = W x for one vector, as gemv.metal has it, for weights that are bytes or fit into them: integers are multiplied, in
// tensor cores where there are some, so that hardly more than a load is spent on a weight.
//
// The input becomes integers of 23 bits, by the exponent of the largest of 32 neighbours, and these planes of signed
// bytes: x = 2^e (65536 high + 256 middle + low). So the sums are those of floats but for their order. Where a byte has two weights,
// integers have 27 bits, and four planes hold what FormatQ4_0::bytes() multiplies, which is 16 times as large.
//
// A simdgroup owns tiles of 16 rows (tiles.h): lane l has rows l / 4 and l / 4 + 8, and of a unit's four chunks the one at l % 4. SPLIT
// simdgroups share the rows' columns. Weights are asked for before the input is there; a unit is replaced by the one UNROLL steps
// ahead as soon as it is multiplied.
//
// Between one dispatch and the next there is little but instructions to wait for: what can be known when this is compiled is.

#include <metal_stdlib>

#include "activations.h"
#include "formats.h"
#include "head_norm.h"
#include "hints.h"
#include "kernel_args.h"
#include "tiles.h"

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
constant uint kResident [[function_constant(LATTICE_FC_RESIDENT)]];  // for CUDA's compiler alone

constant constexpr uint kMaxTiles = 2;
constant constexpr uint kMaxSteps = 2;  // Format::kTileSteps
constant constexpr uint kMaxUnroll = 8;
constant constexpr uint kMaxSimdgroups = 16;
constant constexpr uint kMaxLoads = LATTICE_STAGE_COLS / 4 / 32;
constant constexpr uint kGroupCols = 16;  // of 16 bytes in a plane
constant constexpr float kPlaneShare = 1.0f / 256;  // of a plane in the one before
constant constexpr uint kPlaneGroups = LATTICE_STAGE_COLS / kGroupCols + 4;  // planes begin in different banks

// A simdgroup's units lie together where a row is but one round; otherwise those of all of a threadgroup's, step for step.
constant uint kStepUnits = kRounds == LATTICE_ROUNDS_MANY ? kSplit : 1;
constant uint kMemberUnits = kRounds == LATTICE_ROUNDS_MANY ? 1 : kUnroll;
constant bool kRmsNorm = kNorm == LATTICE_NORM_RMS;
constant uint kThreads = max(kSimdgroups, 1u) * 32;
constant uint kTiles = kRows / kUnitRows;
constant uint kRoundUnits = kSplit * kUnroll;

namespace lattice_gpu {

/// The input, in threadgroup memory.
struct Stage {
  threadgroup uint4* planes;   // [Format::kPlanes + 1][kPlaneGroups], high bytes first; the last is zeros
  threadgroup float2* scales;  // of 16 columns: 2^e, and −2^e times what a lane's sum of two planes has too much
};

/// A lane's part of the tiles of its simdgroup, from their first unit on or, where none is looked for beyond a row's end, from the
/// simdgroup's first.
struct TileRows {
  device const uint4* words[kMaxTiles];
  device const half2* scales[kMaxTiles];
};

/// What a lane loads at once: of each tile its part of a unit.
struct Unit {
  uint4 first[kMaxTiles];
  uint4 last[kMaxTiles];
  half2 scales[kMaxTiles][kMaxSteps];  // of each block, a's and b's
};

/// Unit `from` + `steps` of each tile, of which `steps` is known when this is compiled; beyond a row's end its last one, which
/// meets zeros.
template <typename Format>
inline void load_unit(thread const TileRows& rows, uint from, uint steps, uint row_groups, thread Unit& unit) {
  if (kRounds == LATTICE_ROUNDS_ANY) {
    from = min(from + steps, row_groups - 1);
    steps = 0;
  }
#pragma unroll
  for (uint t = 0; t < kTiles; ++t) {
    device const uint4* words = rows.words[t] + from * kUnitVectors;
    unit.first[t] = lattice_load_streamed(words + steps * kUnitVectors);
    unit.last[t] = lattice_load_streamed(words + steps * kUnitVectors + 32);
    device const half2* scales = rows.scales[t] + from * (kUnitPairs * Format::kTileSteps);
    if (Format::kTileSteps == 1) {
      unit.scales[t][0] = scales[steps * kUnitPairs];
    } else {
      const half4 both = reinterpret_cast<device const half4*>(scales)[steps * kUnitPairs];
      unit.scales[t][0] = both.xy;
      unit.scales[t][1] = both.zw;
    }
  }
}

/// Adds a unit's products to `sums`; `group` counts from the lane's first in the stage.
template <typename Format>
inline void multiply_unit(thread const Unit& unit, thread const lattice_byte_operand& x, threadgroup const float2* x_scales, uint group,
                          thread float* sums) {
#pragma unroll
  for (uint step = 0; step < Format::kTileSteps; ++step) {
    const float2 scale = x_scales[group + 2 * step];
    const float next_scale = scale.x * kPlaneShare;
#pragma unroll
    for (uint t = 0; t < kTiles; ++t) {
      const BytePair bytes = Format::bytes(unit.first[t], unit.last[t], step);
      const float4 planes = lattice_pair_sums(bytes.first, bytes.last, x, group + 2 * step);
      const float2 scales = float2(unit.scales[t][step]);
      const float a = fma(planes.y, next_scale, fma(planes.x, scale.x, scale.y));
      const float b = fma(planes.w, next_scale, fma(planes.z, scale.x, scale.y));
      sums[2 * t] = fma(scales.x, a, sums[2 * t]);
      sums[2 * t + 1] = fma(scales.y, b, sums[2 * t + 1]);
    }
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

/// x of eight neighbouring lanes, which have 32 columns.
inline float sum_of_eight(float x) {
  x += lattice_simd_shuffle_xor(x, 1);
  x += lattice_simd_shuffle_xor(x, 2);
  return x + lattice_simd_shuffle_xor(x, 4);
}

/// Bits of the integers that the input becomes. 22 and a sign are what a float can be rounded to by an addition; where a block's offset
/// is taken off a sum, that is too coarse by half.
template <typename Format>
constexpr uint integer_bits() {
  return Format::kNibbles ? 26 : 22;
}

/// The integers, below 2^integer_bits(). Of 22 bits the nearest: a float's last bits after LATTICE_SUM_START is added.
template <typename Format>
inline uint4 integers_of(float4 x, float to_integers) {
  if (Format::kNibbles) return as_type<uint4>(int4(x * to_integers));
  return as_type<uint4>(fma(x, float4(to_integers), float4(LATTICE_SUM_START))) - as_type<uint>(LATTICE_SUM_START);
}

/// Digits of a byte with a sign each: those of n + 0x80808080, less 0x80.
inline uint byte_digits(uint n) { return (n + 0x80808080u) ^ 0x80808080u; }

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

/// What the sum of two planes starts from in the lanes that read this group of 16 columns, in units of the first of the two. Nibbles
/// below are q rather than q − 8: 16 · 8 Σ x_l too much, with `evens` = Σ x_l of the block as integers. Of that, lanes with planes 0 and 1
/// take the multiple of 2^24, and those with 2 and 3 what is left.
inline float sum_start(bool nibbles, float evens, bool odd_lane) {
  constexpr float kBoth = LATTICE_SUM_START + LATTICE_SUM_START * kPlaneShare;
  if (!nibbles) return kBoth;
  const float upper = rint(evens * (1.0f / 131072));
  return kBoth + (odd_lane ? fma(upper, -131072.0f, evens) * 0.5f : upper);
}

/// Puts a thread's share into the stage, of `vectors` in all, times the norm's weight, or what their head's norm has left; `first` is
/// the stage's first vector of x. Returns what its eight neighbours have of Σ x² before that.
template <typename Format>
inline float store_stage(thread const VectorLoads& loads, thread const VectorLoads& norm, device const float* head_squares,
                         constant GemvArgs& args, Stage stage, uint first, uint vectors, uint thread_index) {
  constexpr uint kBits = integer_bits<Format>();
  constexpr uint kSmallest = 34;  // biased exponents: 2^e, its 256th and its inverse are floats
  constexpr uint kLargest = 254;
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
    const uint exponent = clamp(largest >> 23, kSmallest, kLargest);
    const float to_integers = as_type<float>((253u + kBits - exponent) << 23);
    const uint4 integers = integers_of<Format>(v, to_integers);
    if (Format::kNibbles) {
      store_nibbles(integers, reinterpret_cast<threadgroup ushort*>(stage.planes), i);
    } else {
      store_bytes(integers, reinterpret_cast<threadgroup uint*>(stage.planes), i);
    }
    if (i % 4 == 0) {
      // Infinity and what is no number make no number of all that they meet.
      const float scale = as_type<float>(largest >> 23 > kLargest ? 0x7fc00000u : (exponent + 1u - kBits) << 23);
      stage.scales[i / 4] = float2(scale, -scale * sum_start(Format::kNibbles, evens * to_integers, i / 4 % 2 != 0));
    }
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

/// quants and scales, tiles of units (tiles.h), · x [cols] → y [rows], or [rows / 2] with SwiGLU. Threadgroups: ⌈rows / (ROWS ·
/// SIMDGROUPS / SPLIT)⌉ of SIMDGROUPS · 32 threads. x is padded with zeros to row_chunks · kCols, and so is norm. LOADS · SIMDGROUPS ·
/// 128 is the columns of a stage at least; ROUNDS says how often SPLIT · UNROLL goes into row_groups.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv_bytes(
    device const uint4* quants [[buffer(0)]], device const half2* scales [[buffer(1)]],
    device const float* x [[buffer(2)]], device const float* norm [[buffer(3)]],
    device const float* head_squares [[buffer(4)]], device float* y [[buffer(5)]], constant GemvArgs& args [[buffer(6)]], uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  threadgroup uint4 planes[(Format::kPlanes + 1) * kPlaneGroups + 2];
  threadgroup float2 x_scales[LATTICE_STAGE_COLS / kGroupCols];
  threadgroup float partial[kMaxSimdgroups * kMaxTiles * kUnitRows];
  threadgroup float partial_squares[kMaxSimdgroups];

  lattice_allow_next();
  const uint teams = kSimdgroups / kSplit;  // of SPLIT simdgroups, each with rows of its own
  const uint member = simdgroup % kSplit;
  const uint group_row = group * teams * kRows;
  const uint first_tile = group_row / kUnitRows + simdgroup / kSplit * kTiles;
  const uint own_unit = member * kMemberUnits;
  const uint first_unit = kRounds == LATTICE_ROUNDS_ANY ? 0 : own_unit;
  TileRows rows;
#pragma unroll
  for (uint t = 0; t < kTiles; ++t) {  // beyond the last tile the last once more
    const uint unit = min(first_tile + t, (args.rows - 1) / kUnitRows) * args.row_groups + first_unit;
    rows.words[t] = quants + (unit * kUnitVectors + lane);  // 32 bits: up to 64 GiB
    rows.scales[t] = scales + (unit * kUnitPairs + lane / 2) * Format::kTileSteps;
  }
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
  const uint own_group = own_unit * kUnitChunks * Format::kTileSteps + lane % 4 / 2 * 2 * Format::kTileSteps + lane % 2;
  const lattice_byte_operand operand =
      lattice_make_pair_operand(planes + own_group, Format::kPlanes, kPlaneGroups, zeros + own_group, lane);
  threadgroup const float2* own_scales = x_scales + own_group;
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
    squares += store_stage<Format>(loads, weights, head_squares, args, stage, first * kVectors,
                           min(stage_chunks, padded_chunks - first) * kVectors, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint after = first + stage_chunks;
    if (kLong && after < args.row_chunks) {
      const uint next_count = min(stage_chunks, args.row_chunks - after) * kVectors;
      load_vectors(x, after * kVectors, next_count, thread_index, loads);
      if (kRmsNorm) load_vectors(norm, after * kVectors, next_count, thread_index, weights);
    }
    for (uint base = 0; base == 0 || (kRounds != LATTICE_ROUNDS_ONE && base < count); base += round_chunks) {
      const uint own = base / kUnitChunks;
      const uint next = (first + base + round_chunks) / kUnitChunks + own_unit - first_unit;
      const bool more = kRounds != LATTICE_ROUNDS_ONE && first + base + round_chunks < args.row_chunks;  // for all lanes alike
#pragma unroll
      for (uint u = 0; u < kUnroll; ++u) {
        multiply_unit<Format>(units[u], operand, own_scales, (own + u * kStepUnits) * (kUnitChunks * Format::kTileSteps), sums);
        if (more) load_unit<Format>(rows, next, u * kStepUnits, args.row_groups, units[u]);
      }
    }
  }
#pragma unroll
  for (uint r = 0; r < 2 * kTiles; ++r) {
    sums[r] *= lane % 2 == 0 ? 65536 * Format::kByteScale : Format::kByteScale;
    sums[r] += lattice_simd_shuffle_xor(sums[r], 1);
    sums[r] += lattice_simd_shuffle_xor(sums[r], 2);
    if (lane % kUnitChunks == 0) partial[simdgroup * kRows + r * (kUnitRows / 2) + lane / kUnitChunks] = sums[r];
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
      device const uint4*, device const half2*, device const float*, device const float*, device const float*,        \
      device float*,                                                                                                  \
      constant GemvArgs&, uint, uint, uint, uint)

LATTICE_GEMV_BYTES("gemv_bytes_q8_0", FormatQ8_0);
LATTICE_GEMV_BYTES("gemv_bytes_q4_0", FormatQ4_0);
