// Softmax and log Σ exp of rows of any length, a threadgroup a row. A thread keeps the largest value that it has seen and
// the sum of exponentials relative to it, so that one reading gives both (Milakov and Gimelshein, "Online normalizer
// calculation for softmax", 2018, algorithm 3); then simdgroups join their pairs, and threadgroup memory theirs.

#include <metal_stdlib>

#include "kernel_args.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];

constant constexpr uint kMaxSimdgroups = 32;

namespace lattice_gpu {

/// Σ exp(x) over some values, as sum · e^max.
struct ExpSum {
  float max;
  float sum;
};

/// e^(x − max), where nothing is taken off −∞ when all values are that.
inline float relative_exp(float x, float max) {
  return max == -INFINITY ? 0.0f : precise::exp(x - max);
}

inline ExpSum add(ExpSum total, float x) {
  const float max = metal::max(total.max, x);
  return {max, total.sum * relative_exp(total.max, max) + relative_exp(x, max)};
}

inline ExpSum join_simdgroup(ExpSum own) {
  const float max = simd_max(own.max);
  return {max, simd_sum(own.sum * relative_exp(own.max, max))};
}

/// Of the whole row, in every thread.
inline ExpSum exp_sum_of_row(device const float* row, uint cols, threadgroup float* maxima, threadgroup float* sums,
                             uint thread_index, uint simdgroup, uint lane) {
  ExpSum own = {-INFINITY, 0.0f};
  for (uint i = thread_index; i < cols; i += kSimdgroups * 32) own = add(own, row[i]);
  own = join_simdgroup(own);
  if (lane == 0) {
    maxima[simdgroup] = own.max;
    sums[simdgroup] = own.sum;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const bool has = lane < kSimdgroups;
  return join_simdgroup({has ? maxima[lane] : -INFINITY, has ? sums[lane] : 0.0f});
}

}  // namespace lattice_gpu

/// x [rows, in_stride] → y [rows, out_stride]: e^x / Σ e^x over `cols` columns; zeros for a row that is −∞ everywhere.
/// Threadgroups: rows, of SIMDGROUPS · 32 threads.
[[kernel]] void softmax(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                        constant RowsArgs& args [[buffer(2)]], uint row [[threadgroup_position_in_grid]],
                        uint thread_index [[thread_index_in_threadgroup]],
                        uint simdgroup [[simdgroup_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float maxima[kMaxSimdgroups];
  threadgroup float sums[kMaxSimdgroups];
  device const float* in = x + ulong(row) * args.in_stride;
  device float* out = y + ulong(row) * args.out_stride;
  const ExpSum total = exp_sum_of_row(in, args.cols, maxima, sums, thread_index, simdgroup, lane);
  const float factor = total.sum > 0 ? 1.0f / total.sum : 0.0f;
  for (uint i = thread_index; i < args.cols; i += kSimdgroups * 32) out[i] = relative_exp(in[i], total.max) * factor;
}

/// x [rows, in_stride] → y [rows]: log Σ e^x over `cols` columns, −∞ for a row that is −∞ everywhere. Threadgroups as above.
[[kernel]] void logsumexp(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                          constant RowsArgs& args [[buffer(2)]], uint row [[threadgroup_position_in_grid]],
                          uint thread_index [[thread_index_in_threadgroup]],
                          uint simdgroup [[simdgroup_index_in_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float maxima[kMaxSimdgroups];
  threadgroup float sums[kMaxSimdgroups];
  const ExpSum total =
      exp_sum_of_row(x + ulong(row) * args.in_stride, args.cols, maxima, sums, thread_index, simdgroup, lane);
  if (thread_index == 0) y[row] = total.max == -INFINITY ? -INFINITY : total.max + precise::log(total.sum);
}
