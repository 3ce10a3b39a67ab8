#pragma once

// What gemv_bytes.metal and gemv_planes.metal share: products of integers, of matrices in tiles.
//
// A simdgroup owns tiles of 16 rows (tiles.h): lane l has rows l / 4 and l / 4 + 8, and of a unit's four
// chunks the one at l % 4. SPLIT simdgroups share the rows' columns. Weights are asked for before the input
// is there; a unit is replaced by the one UNROLL steps ahead as soon as it is multiplied.

#include <metal_stdlib>

#include "activations.h"
#include "formats.h"
#include "hints.h"
#include "kernel_args.h"
#include "planes.h"
#include "tiles.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kRows [[function_constant(LATTICE_FC_ROWS)]];
constant uint kSplit [[function_constant(LATTICE_FC_SPLIT)]];
constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kUnroll [[function_constant(LATTICE_FC_UNROLL)]];
constant uint kNorm [[function_constant(LATTICE_FC_NORM)]];
constant uint kHeadVectors [[function_constant(LATTICE_FC_VECTORS)]];  // of LATTICE_NORM_HEADS
constant uint kHeadParts [[function_constant(LATTICE_FC_HEAD_PARTS)]];
constant uint kLoads [[function_constant(LATTICE_FC_LOADS)]];
constant uint kEpilogue [[function_constant(LATTICE_FC_EPILOGUE)]];
constant uint kToPlanes [[function_constant(LATTICE_FC_TO_PLANES)]];
constant uint kRounds [[function_constant(LATTICE_FC_ROUNDS)]];
constant uint kResident [[function_constant(LATTICE_FC_RESIDENT)]];  // for CUDA's compiler alone

// A simdgroup's units lie together where a row is but one round; otherwise those of all of a threadgroup's,
// step for step.
constant uint kStepUnits = kRounds == LATTICE_ROUNDS_MANY ? kSplit : 1;
constant uint kMemberUnits = kRounds == LATTICE_ROUNDS_MANY ? 1 : kUnroll;
constant uint kTiles = kRows / kUnitRows;
constant uint kTeams = kSimdgroups / max(kSplit, 1u);  // of SPLIT simdgroups, each with rows of its own
constant uint kRoundUnits = kSplit * kUnroll;
constant bool kRmsNorm = kNorm == LATTICE_NORM_RMS;

namespace lattice_gpu {

constant constexpr uint kMaxTiles = 2;
constant constexpr uint kMaxSteps = 2;  // Format::kTileSteps
constant constexpr uint kMaxUnroll = 8;
constant constexpr uint kMaxSimdgroups = 16;

/// Groups of 16 columns in a unit.
template <typename Format>
constexpr uint unit_groups() {
  return kUnitChunks * Format::kTileSteps;
}

/// The first group of a unit that a lane meets; where there are two steps, the other is two groups on.
template <typename Format>
inline uint lane_group(uint lane) {
  return lane % 4 / 2 * 2 * Format::kTileSteps + lane % 2;
}

/// A lane's part of the tiles of its simdgroup, from their first unit on or, where none is looked for beyond
/// a row's end, from the simdgroup's first.
struct TileRows {
  device const uint4* words[kMaxTiles];
  device const half2* scales[kMaxTiles];
};

/// Those of a simdgroup of the threadgroup whose rows begin at `group_row`, from unit `first_unit` on; beyond
/// the last tile the last once more.
template <typename Format>
inline TileRows tile_rows(device const uint4* quants, device const half2* scales, constant GemvArgs& args,
                          uint group_row, uint first_unit, uint simdgroup, uint lane) {
  TileRows rows;
#pragma unroll
  for (uint t = 0; t < kTiles; ++t) {
    const uint tile = group_row / kUnitRows + simdgroup / kSplit * kTiles + t;
    const uint unit = min(tile, (args.rows - 1) / kUnitRows) * args.row_groups + first_unit;
    rows.words[t] = quants + (unit * kUnitVectors + lane);  // 32 bits: up to 64 GiB
    rows.scales[t] = scales + (unit * kUnitPairs + lane / 2) * Format::kTileSteps;
  }
  return rows;
}

/// What a lane loads at once: of each tile its part of a unit.
struct Unit {
  uint4 first[kMaxTiles];
  uint4 last[kMaxTiles];
  half2 scales[kMaxTiles][kMaxSteps];  // of each block, a's and b's
};

/// Unit `from` + `steps` of each tile, of which `steps` is known when this is compiled; beyond a row's end
/// its last one, which meets zeros.
template <typename Format>
inline void load_unit(thread const TileRows& rows, uint from, uint steps, uint row_groups,
                      thread Unit& unit) {
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

/// Adds a step of a unit's products to `sums`, times `factor`, with what the input's group has for it.
template <typename Format, typename Operand>
inline void multiply_step(thread const Unit& unit, uint step, lattice_byte_fragment x,
                          thread const Operand& operand, float2 x_scale, float factor, thread float* sums) {
  const float next_scale = x_scale.x * kPlaneShare;
#pragma unroll
  for (uint t = 0; t < kTiles; ++t) {
    const BytePair bytes = Format::bytes(unit.first[t], unit.last[t], step);
    const float4 planes = lattice_pair_sums(bytes.first, bytes.last, x, operand);
    const float2 scales = float2(unit.scales[t][step]) * factor;
    const float a = fma(planes.y, next_scale, fma(planes.x, x_scale.x, x_scale.y));
    const float b = fma(planes.w, next_scale, fma(planes.z, x_scale.x, x_scale.y));
    sums[2 * t] = fma(scales.x, a, sums[2 * t]);
    sums[2 * t + 1] = fma(scales.y, b, sums[2 * t + 1]);
  }
}

/// What two lanes, `step` apart, have of two sums: `first` for the lane without that bit, `second` for the
/// other.
inline float exchange(float first, float second, uint lane, ushort step) {
  const bool is_second = (lane & step) != 0;
  return (is_second ? second : first) + lattice_simd_shuffle_xor(is_second ? first : second, step);
}

/// Leaves a simdgroup's sums of its rows in partial [SIMDGROUPS, ROWS]. Four lanes have parts of the same
/// rows, and exchange them so that each is left one row of two tiles, or two of them one of a tile.
template <typename Format>
inline void store_sums(thread float* sums, uint simdgroup, uint lane, threadgroup float* partial) {
  const float scale = lane % 2 == 0 ? 65536 * Format::kByteScale : Format::kByteScale;
#pragma unroll
  for (uint r = 0; r < 2 * kTiles; ++r) sums[r] *= scale;
  float sum = exchange(sums[0], sums[1], lane, 1);
  uint row = lane % 2 * (kUnitRows / 2);
  if (kTiles == 1) {
    sum += lattice_simd_shuffle_xor(sum, 2);
  } else {
    sum = exchange(sum, exchange(sums[2 * kTiles - 2], sums[2 * kTiles - 1], lane, 1), lane, 2);
    row += lane / 2 % 2 * kUnitRows;
  }
  threadgroup float* own = partial + simdgroup * kRows + lane / kUnitChunks;
  if (kTiles > 1 || lane % kUnitChunks < 2) own[row] = sum;
}

/// What the simdgroups that share a row have of it; `row` counts from the threadgroup's first.
inline float row_total(threadgroup const float* partial, uint row) {
  threadgroup const float* own = partial + row / kRows * kSplit * kRows + row % kRows;
  float sums[4] = {};  // of each fourth, so that they are added up side by side
#pragma unroll
  for (uint m = 0; m < kSplit; ++m) sums[m % 4] += own[m * kRows];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// A threadgroup's outputs: of SwiGLU half as many as its rows.
struct Outputs {
  uint first;
  uint count;
};
inline Outputs outputs_of(uint group_row, constant GemvArgs& args) {
  const uint output_rows = kEpilogue == LATTICE_EPILOGUE_SWIGLU ? 2 : 1;
  return {group_row / output_rows, min(kTeams * kRows, args.rows - group_row) / output_rows};
}

/// The weight of the norm that follows, for a thread's output.
inline float load_next_norm(device const float* next_norm, Outputs outputs, uint thread_index) {
  const bool is_wanted = kEpilogue == LATTICE_EPILOGUE_ADD && kToPlanes != LATTICE_PLANES_NONE;
  return is_wanted && thread_index < outputs.count ? next_norm[outputs.first + thread_index] : 0.0f;
}
/// What a thread's output is added to. Where no barrier stands before the sums', lattice_arrived() keeps it
/// from being asked for there.
inline float load_before(device const float* y, Outputs outputs, uint thread_index) {
  const bool is_wanted = kEpilogue == LATTICE_EPILOGUE_ADD && thread_index < outputs.count;
  return is_wanted ? y[outputs.first + thread_index] : 0.0f;
}

/// Leaves the output of a thread that has one, of sums that want `factor`, as the epilogue and TO_PLANES say.
inline void store_outputs(threadgroup const float* partial, Outputs outputs, uint thread_index, float factor,
                          float before, float next_norm, constant GemvArgs& args, device float* y) {
  const uint at = outputs.first + thread_index;
  if (kEpilogue == LATTICE_EPILOGUE_SWIGLU) {
    const float gate = factor * row_total(partial, 2 * thread_index);
    const float activated = silu(gate) * (factor * row_total(partial, 2 * thread_index + 1));
    store_output(kToPlanes, activated, at, args.rows / 2, y);
    return;
  }
  const float sum = before + factor * row_total(partial, thread_index);
  y[at] = sum;
  if (kToPlanes != LATTICE_PLANES_NONE)
    store_normed_planes(kToPlanes, sum, next_norm, at, args.rows, y + args.rows);
}

}  // namespace lattice_gpu
