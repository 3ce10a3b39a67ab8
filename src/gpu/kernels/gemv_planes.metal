// y = W x, or y += W x, as gemv_bytes.metal has it, for an input that lies in planes of bytes (planes.h). Nothing is made of it, and
// simdgroups do not meet before they have their sums: a lane's part of the input goes from memory to its products.

#include <metal_stdlib>

#include "gemv_tiles.h"
#include "head_norm.h"

using namespace metal;
using namespace lattice_gpu;

constant bool kAhead [[function_constant(LATTICE_FC_AHEAD)]];

constant bool kInputsAhead = kAhead || kRounds == LATTICE_ROUNDS_ONE;
constant bool kHeadNorm = kNorm == LATTICE_NORM_HEADS;
constant uint kHeadGroups = max(kHeadVectors / 4, 1u);
constant constexpr uint kLaneHeads = LATTICE_MOST_PLANE_HEADS / 32;

namespace lattice_gpu {

/// The input as a lane reads it, from the lane's first group on.
struct Input {
  lattice_device_byte_operand operand;
  device const float2* scales;
  uint first;   // the lane's first group
  uint groups;  // that are left of it from there
};

/// What a lane has of the input for a unit.
struct UnitInput {
  lattice_byte_fragment bytes[kMaxSteps];
  float2 scales[kMaxSteps];
};

/// What unit `from` + `steps` meets, of which `steps` is known when this is compiled; zeros beyond the input's end.
template <typename Format>
inline void load_input(thread const Input& x, uint from, uint steps, thread UnitInput& out) {
#pragma unroll
  for (uint step = 0; step < Format::kTileSteps; ++step) {
    const uint at = (from + steps) * unit_groups<Format>() + 2 * step;
    const bool is_there = kRounds != LATTICE_ROUNDS_ANY || at < x.groups;
    out.bytes[step] = lattice_pair_fragment(x.operand, at * kGroupVectors, is_there);
    out.scales[step] = is_there ? x.scales[at] : float2(0.0f);
  }
}

/// What a lane adds up of `count` sums of squares.
inline float load_squares(device const float* squares, uint count, uint lane) {
  float sum = 0;
#pragma unroll
  for (uint n = 0; n < kLoads; ++n) sum += lane + 32 * n < count ? squares[lane + 32 * n] : 0.0f;
  return sum;
}

/// The factors of heads `lane` and `lane` + 32.
inline void load_factors(device const float* squares, uint heads, float epsilon, uint lane, thread float* out) {
#pragma unroll
  for (uint n = 0; n < kLaneHeads; ++n) {
    out[n] = head_factor(squares, min(lane + 32 * n, heads - 1), kHeadParts, kHeadVectors * 4, epsilon);
  }
}

/// That of head `head`, for all lanes of a simdgroup.
inline float factor_of(thread const float* factors, uint head) {
  float out = lattice_simd_shuffle(factors[0], ushort(head % 32));
#pragma unroll
  for (uint n = 1; n < kLaneHeads; ++n) {
    const float other = lattice_simd_shuffle(factors[n], ushort(head % 32));
    out = head / 32 == n ? other : out;
  }
  return out;
}

/// As in gemv_bytes.metal, with inputs that are there, or loaded for each unit.
template <typename Format>
inline void multiply_round(thread Unit* units, thread UnitInput* inputs, thread const Input& x, thread const float* factors, uint round,
                           bool more, thread const TileRows& rows, uint row_units, thread float* sums) {
#pragma unroll
  for (uint u = 0; u < kUnroll; ++u) {
    if (!kInputsAhead) load_input<Format>(x, round * kRoundUnits, u * kStepUnits, inputs[u]);
#pragma unroll
    for (uint step = 0; step < Format::kTileSteps; ++step) {
      float factor = 1;
      if (kHeadNorm) {
        const uint at = x.first + (round * kRoundUnits + u * kStepUnits) * unit_groups<Format>() + 2 * step;
        factor = factor_of(factors, at / kHeadGroups);
      }
      multiply_step<Format>(units[u], step, inputs[u].bytes[step], x.operand, inputs[u].scales[step], factor, sums);
    }
    if (!more) continue;
    load_unit<Format>(rows, (round + 1) * kRoundUnits, u * kStepUnits, row_units, units[u]);
    if (kInputsAhead) load_input<Format>(x, (round + 1) * kRoundUnits, u * kStepUnits, inputs[u]);
  }
}

}  // namespace lattice_gpu

/// quants and scales, tiles of units (tiles.h), · x [cols] in planes of the format's kind → y [rows], or [rows / 2] with SwiGLU.
/// Threadgroups: ⌈rows / (ROWS · SIMDGROUPS / SPLIT)⌉ of SIMDGROUPS · 32 threads. ROUNDS says how often SPLIT · UNROLL goes into
/// row_groups. With LATTICE_NORM_HEADS x has at most LATTICE_MOST_PLANE_HEADS heads, of a multiple of 32 values; with LATTICE_NORM_RMS
/// it lies as store_normed_planes() leaves it, and LOADS · 1024 is cols at least. next_norm and TO_PLANES: as in gemv_bytes.metal.
template <typename Format>
[[kernel, max_total_threads_per_threadgroup(512)]] void gemv_planes(
    device const uint4* quants [[buffer(0)]], device const half2* scales [[buffer(1)]],
    device const float* x [[buffer(2)]], device const float* head_squares [[buffer(3)]], device float* y [[buffer(4)]],
    device const float* next_norm [[buffer(5)]], constant GemvArgs& args [[buffer(6)]], uint group [[threadgroup_position_in_grid]],
    uint thread_index [[thread_index_in_threadgroup]], uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float partial[kMaxSimdgroups * kMaxTiles * kUnitRows];

  lattice_allow_next();
  const uint group_row = group * kTeams * kRows;
  const uint own_unit = simdgroup % kSplit * kMemberUnits;
  const uint first_unit = kRounds == LATTICE_ROUNDS_ANY ? min(own_unit, args.row_groups - 1) : own_unit;
  const TileRows rows = tile_rows<Format>(quants, scales, args, group_row, first_unit, simdgroup, lane);
  const uint row_units = args.row_groups - first_unit;
  Unit units[kMaxUnroll];
#pragma unroll
  for (uint u = 0; u < kUnroll; ++u) load_unit<Format>(rows, 0, u * kStepUnits, row_units, units[u]);

  const uint groups = args.cols / kGroupCols;
  const uint own_group = own_unit * unit_groups<Format>() + lane_group<Format>(lane);
  const Input input = {
      lattice_make_pair_operand(reinterpret_cast<device const uint4*>(x) + own_group * kGroupVectors, Format::kPlanes, 1, lane),
      reinterpret_cast<device const float2*>(x + args.cols) + own_group, own_group, groups - min(own_group, groups)};
  const Outputs outputs = outputs_of(group_row, args);
  const float next_weight = load_next_norm(next_norm, outputs, thread_index);
  lattice_wait_for_inputs();

  UnitInput inputs[kMaxUnroll];
  if (kInputsAhead) {
#pragma unroll
    for (uint u = 0; u < kUnroll; ++u) load_input<Format>(input, 0, u * kStepUnits, inputs[u]);
  }
  float factors[kLaneHeads] = {};
  if (kHeadNorm) load_factors(head_squares, groups / kHeadGroups, args.epsilon, lane, factors);
  float squares = kRmsNorm ? load_squares(plane_squares(x, args.cols), args.cols / 32, lane) : 0.0f;
  float before = load_before(y, outputs, thread_index);

  float sums[2 * kMaxTiles] = {};
  const uint rounds = kRounds == LATTICE_ROUNDS_ONE ? 1 : (args.row_groups + kRoundUnits - 1) / kRoundUnits;
  uint round = 0;
  for (; round + 1 < rounds; ++round) multiply_round<Format>(units, inputs, input, factors, round, true, rows, row_units, sums);
  multiply_round<Format>(units, inputs, input, factors, round, false, rows, row_units, sums);
  if (kRmsNorm) squares = lattice_simd_sum(squares);
  store_sums<Format>(sums, simdgroup, lane, partial);
  if (kEpilogue == LATTICE_EPILOGUE_ADD) before = lattice_arrived(before);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index >= outputs.count) return;

  const float factor = kRmsNorm ? precise::rsqrt(squares / float(args.cols) + args.epsilon) : 1.0f;
  store_outputs(partial, outputs, thread_index, factor, before, next_weight, args, y);
}

#define LATTICE_GEMV_PLANES(name, format)                                                                          \
  template [[host_name(name)]] [[kernel]] void gemv_planes<format>(                                                \
      device const uint4*, device const half2*, device const float*, device const float*, device float*,           \
      device const float*, constant GemvArgs&, uint, uint, uint, uint)

LATTICE_GEMV_PLANES("gemv_planes_q8_0", FormatQ8_0);
LATTICE_GEMV_PLANES("gemv_planes_q4_0", FormatQ4_0);
