// What Metal 3.1 has and C++ has not, or has otherwise: nothing here may be refused.
#include <metal_simdgroup_matrix>
#include <metal_stdlib>

using namespace metal;

#define LATTICE_INDEX 3

constant uint kRows [[function_constant(LATTICE_INDEX)]];
constant bool kWide [[function_constant(4)]];
constant uint kThreads = max(kRows, 1u) * 32;
constant constexpr uint kMost = 8;
constant float kTable[2] = {0.5f, 1.5f};
static_assert(kMost * 4 <= 32, "a product, and no pointer");

struct Pair {
  float a;
  uint b;
};

/// Copies of structs out of every memory and into it.
kernel void copies(device Pair* pairs [[buffer(0)]], constant Pair& one [[buffer(1)]], device const Pair* more [[buffer(2)]],
                   threadgroup float* memory [[threadgroup(0)]], uint3 place [[thread_position_in_grid]],
                   ushort lane [[thread_index_in_simdgroup]], uint2 group [[threadgroup_position_in_grid]]) {
  threadgroup Pair shared[kMost];
  threadgroup Pair alone;
  threadgroup atomic_uint count;
  const uint i = place.x;
  if (lane == 0) atomic_store_explicit(&count, 0, memory_order_relaxed);
  shared[i % kMost] = more[i];
  alone = {1.0f, 2u};
  threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);
  Pair own = shared[0];
  own.a += one.a + alone.a + memory[lane] + kTable[i % 2];
  const Pair copy = one;
  pairs[i] = own;
  pairs[i + 1] = copy;
  pairs[i + 2] = Pair{1.0f, group.x * kThreads};
  atomic_fetch_add_explicit(&count, 1u, memory_order_relaxed);
}

template <typename T>
inline T last_of(device const T* x, uint n) {
  return x[n * 2 - 1];
}

/// Vectors, swizzles, halves, and a template's kernels by name.
template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void scales(device T* x [[buffer(0)]], device const float4* y [[buffer(1)]],
                                                               uint i [[thread_position_in_grid]],
                                                               uint lane [[thread_index_in_simdgroup]]) {
  float4 v = y[i].wzyx;
  v.xy = float2(v.x * 2.0f, v.y);
  v = fma(v, float4(v.xy, 0.5f, 1.0f), float4(1));
  const float sum = simd_sum(dot(v, v)) + float(as_type<half2>(as_type<uint>(v.x)).y);
  const float other = as_type<float>(simd_shuffle_xor(as_type<int>(sum), 1));
  x[i] = kWide ? T(other * precise::rsqrt(sum + float(1.0h))) : last_of(x, i + lane + 1);
}
template [[host_name("scales_f32")]] [[kernel]] void scales<float>(device float*, device const float4*, uint, uint);
template [[host_name("scales_f16")]] [[kernel]] void scales<half>(device half*, device const float4*, uint, uint);

kernel void tiles(device const float* x [[buffer(0)]], device float* y [[buffer(1)]]) {
  threadgroup float memory[64];
  simdgroup_float8x8 a;
  simdgroup_float8x8 sums[2];
  sums[0] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  sums[1] = simdgroup_float8x8(1.0f);
  simdgroup_load(a, x, 8, ulong2(0, 0), true);
  simdgroup_multiply_accumulate(sums[0], a, sums[1], sums[0]);
  simdgroup_half8x8 halves = simdgroup_half8x8(1.0h);
  halves.thread_elements() = half2(a.thread_elements());
  simdgroup_multiply_accumulate(sums[0], halves, halves, sums[0]);
  simdgroup_store(sums[0], memory);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  threadgroup float& first = memory[0];
  first = 1.0f;
  device float* row = y + 8;
  row[0] = memory[1] + first;
  simdgroup_store(a, y, 8);
}
