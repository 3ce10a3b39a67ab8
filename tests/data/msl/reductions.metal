// Row reductions: one simdgroup a row, and a whole threadgroup with a second stage.
#include <metal_stdlib>
using namespace metal;

[[kernel]] void row_sum_simd(const device float* in [[buffer(0)]],
                             device float* out [[buffer(1)]],
                             constant const int& width [[buffer(2)]],
                             uint2 tgid [[threadgroup_position_in_grid]],
                             uint lane [[thread_index_in_simdgroup]]) {
  float sum = 0;
  for (int i = lane; i < width; i += 32) sum += in[tgid.x * width + i];
  sum = simd_sum(sum);
  if (lane == 0) out[tgid.x] = sum;
}

kernel void softmax(device const half* in [[buffer(0)]],
                    device half* out [[buffer(1)]],
                    constant int64_t& width [[buffer(2)]],
                    threadgroup float* scratch [[threadgroup(0)]],
                    uint row [[threadgroup_position_in_grid]],
                    ushort tid [[thread_position_in_threadgroup]],
                    ushort sgitg [[simdgroup_index_in_threadgroup]],
                    ushort tiisg [[thread_index_in_simdgroup]],
                    ushort ntg [[threads_per_threadgroup]]) {
  device const half* x = in + row * width;
  float top = -INFINITY;
  for (int i = tid; i < width; i += ntg) top = max(top, float(x[i]));
  top = simd_max(top);
  if (sgitg == 0) scratch[tiisg] = -INFINITY;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (tiisg == 0) scratch[sgitg] = top;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  top = simd_max(scratch[tiisg]);

  float sum = 0.0f;
  for (int i = tid; i < width; i += ntg) sum += fast::exp(float(x[i]) - top);
  sum = simd_sum(sum);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (sgitg == 0) scratch[tiisg] = 0.0f;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (tiisg == 0) scratch[sgitg] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  sum = simd_sum(scratch[tiisg]);
  for (int i = tid; i < width; i += ntg) out[row * width + i] = half(exp(float(x[i]) - top) / sum);
}

template <typename T, int N_READS = 4>
[[kernel]] void rms_norm(const device T* x, const device T* w, device T* out, constant float& eps,
                         constant uint& axis_size,
                         uint gid [[threadgroup_position_in_grid]],
                         uint lid [[thread_position_in_threadgroup]],
                         uint simd_lane_id [[thread_index_in_simdgroup]],
                         uint simd_group_id [[simdgroup_index_in_threadgroup]]) {
  constexpr int SIMD_SIZE = 32;
  threadgroup float local_inv_mean[1];
  threadgroup float local_sums[SIMD_SIZE];

  float acc = 0;
  x += gid * size_t(axis_size) + lid * N_READS;
  w += lid * N_READS;
  for (int i = 0; i < N_READS; i++) {
    if ((lid * N_READS + i) < axis_size) {
      float xi = x[i];
      acc += xi * xi;
    }
  }
  acc = simd_sum(acc);
  if (simd_group_id == 0) local_sums[simd_lane_id] = 0;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd_lane_id == 0) local_sums[simd_group_id] = acc;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd_group_id == 0) {
    acc = simd_sum(local_sums[simd_lane_id]);
    if (simd_lane_id == 0) local_inv_mean[0] = metal::precise::rsqrt(acc / axis_size + eps);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out += gid * size_t(axis_size) + lid * N_READS;
  for (int i = 0; i < N_READS; i++) {
    if ((lid * N_READS + i) < axis_size) out[i] = w[i] * static_cast<T>(x[i] * local_inv_mean[0]);
  }
}

#define instantiate_kernel(name, func, ...) \
  template [[host_name(name)]] [[kernel]] decltype(func<__VA_ARGS__>) func<__VA_ARGS__>;
#define instantiate_rms(type_name, type) instantiate_kernel("rms_norm_" #type_name, rms_norm, type)

typedef bfloat bfloat16_t;
instantiate_rms(float32, float)
instantiate_rms(float16, half)
instantiate_rms(bfloat16, bfloat16_t)
