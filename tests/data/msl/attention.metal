// One query against all keys with online softmax: a threadgroup a head, its simdgroups take keys in turn and merge.
#include <metal_stdlib>
using namespace metal;

constant bool has_mask [[function_constant(0)]];
constant int window [[function_constant(1)]];
constant bool use_window = is_function_constant_defined(window);

template <typename T, int D>
[[kernel]] void sdpa_decode(const device T* queries [[buffer(0)]], const device T* keys [[buffer(1)]],
                            const device T* values [[buffer(2)]], device T* out [[buffer(3)]],
                            const constant int& gqa_factor, const constant int& N, const constant float& scale,
                            const device float* mask [[buffer(7), function_constant(has_mask)]],
                            uint3 tid [[threadgroup_position_in_grid]], uint simd_gid [[simdgroup_index_in_threadgroup]],
                            uint simd_lid [[thread_index_in_simdgroup]]) {
  constexpr int BN = 4;
  constexpr int per_lane = D / 32;
  typedef float U;
  thread U q[per_lane];
  thread U o[per_lane];
  threadgroup U outputs[BN * D];
  threadgroup U max_scores[BN];
  threadgroup U sum_exp_scores[BN];

  const int head = tid.x;
  const int kv_head = head / gqa_factor;
  queries += head * D + simd_lid * per_lane;
  keys += kv_head * N * D + simd_lid * per_lane;
  values += kv_head * N * D + simd_lid * per_lane;
  for (int j = 0; j < per_lane; j++) {
    q[j] = static_cast<U>(scale) * queries[j];
    o[j] = 0;
  }
  U max_score = -INFINITY;
  U sum_exp_score = 0;
  for (int i = simd_gid; i < N; i += BN) {
    if (use_window && i + window < N) continue;
    U score = 0;
    for (int j = 0; j < per_lane; j++) score += q[j] * keys[i * D + j];
    score = simd_sum(score);
    if (has_mask) score += mask[i];
    U new_max = max(max_score, score);
    U factor = fast::exp(max_score - new_max);
    U exp_score = fast::exp(score - new_max);
    max_score = new_max;
    sum_exp_score = sum_exp_score * factor + exp_score;
    for (int j = 0; j < per_lane; j++) o[j] = o[j] * factor + exp_score * values[i * D + j];
  }
  if (simd_lid == 0) {
    max_scores[simd_gid] = max_score;
    sum_exp_scores[simd_gid] = sum_exp_score;
  }
  for (int j = 0; j < per_lane; j++) outputs[simd_gid * D + simd_lid * per_lane + j] = o[j];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd_gid != 0) return;
  U top = -INFINITY;
  for (int g = 0; g < BN; g++) top = max(top, max_scores[g]);
  U total = 0;
  U merged[per_lane] = {0};
  for (int g = 0; g < BN; g++) {
    const U factor = fast::exp(max_scores[g] - top);
    total += sum_exp_scores[g] * factor;
    for (int j = 0; j < per_lane; j++) merged[j] += outputs[g * D + simd_lid * per_lane + j] * factor;
  }
  for (int j = 0; j < per_lane; j++) out[head * D + simd_lid * per_lane + j] = static_cast<T>(merged[j] / total);
}

#define instantiate_sdpa(type, D) \
  template [[host_name("sdpa_decode_" #type "_" #D)]] [[kernel]] decltype(sdpa_decode<type, D>) sdpa_decode<type, D>;
instantiate_sdpa(float, 64)
instantiate_sdpa(half, 128)
