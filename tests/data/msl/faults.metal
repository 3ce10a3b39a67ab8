// Kernels with one fault each, marked FAULT(kernel), and correct ones beside them (fine_…).
#include <metal_stdlib>
using namespace metal;

kernel void read_past_end(device float* data, uint i [[thread_position_in_grid]]) {
  const float next = data[i + 1];  // FAULT(read_past_end)
  threadgroup_barrier(mem_flags::mem_device);
  data[i] = next;
}
kernel void write_past_end(device float* data, uint i [[thread_position_in_grid]]) {
  data[i] = 1;  // FAULT(write_past_end)
}
kernel void read_far_away(device float* data, uint i [[thread_position_in_grid]]) {
  if (i == 5) data[i] = data[i + 1000000000];  // FAULT(read_far_away)
}
kernel void read_before(device float* data, int i [[thread_position_in_threadgroup]]) {
  if (i == 0) data[i] = data[i - 3];  // FAULT(read_before)
}
kernel void read_null(device float* data, device const float* missing [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  data[i] = missing[i];  // FAULT(read_null)
}
kernel void threadgroup_past_end(device float* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[63];
  shared[i] = data[i];  // FAULT(threadgroup_past_end)
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i < 63) data[i] = shared[62 - i];
}
kernel void bound_memory_past_end(device float* data, threadgroup float* memory [[threadgroup(0)]],
                                  uint i [[thread_position_in_threadgroup]]) {
  memory[i + 1] = data[i];  // FAULT(bound_memory_past_end)
}
kernel void uninitialised(device float* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[64];
  if (i != 9) shared[i] = data[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  data[i] = shared[i];  // FAULT(uninitialised)
}
kernel void uninitialised_add(device float* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[64];
  shared[i] += data[i];  // FAULT(uninitialised_add)
  data[i] = 1;
}
kernel void missing_barrier(device float* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[64];
  shared[i] = data[i];
  if (i != 0) shared[i] = shared[i ^ 0];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float mine = data[i];
  threadgroup_barrier(mem_flags::mem_none);
  shared[63 - i] = mine;  // FAULT(missing_barrier)
  data[i] = shared[i] * 0;
}
kernel void wrong_flags(device float* data, uint i [[thread_position_in_threadgroup]]) {
  data[i] = float(i);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const float other = data[63 - i];  // FAULT(wrong_flags)
  threadgroup_barrier(mem_flags::mem_device);
  data[i] = other;
}
kernel void simdgroup_barrier_only(device float* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[64];
  shared[i] = data[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  shared[i] = 2;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  data[i] = shared[63 - i];  // FAULT(simdgroup_barrier_only)
}
kernel void device_race(device float* data, uint i [[thread_position_in_grid]]) {
  data[i / 2] = 3;  // FAULT(device_race)
}
kernel void threadgroup_race(device float* data, uint i [[thread_position_in_threadgroup]]) {
  data[i] = 3;  // FAULT(threadgroup_race)
}
kernel void half_atomic(device atomic_uint* data, uint i [[thread_position_in_threadgroup]]) {
  if (i == 0) {
    *(device uint*)data = 1u;  // FAULT(half_atomic)
  } else {
    atomic_fetch_add_explicit(data, 1u, memory_order_relaxed);
  }
}
kernel void write_after_read(device float* data, uint i [[thread_position_in_threadgroup]]) {
  const float other = data[i ^ 1];
  data[i] = other;  // FAULT(write_after_read)
}
struct Wide {
  float values[8];
};
kernel void struct_race(device Wide* data, uint i [[thread_position_in_threadgroup]]) {
  if (i < 8) data[i / 2] = data[i];  // FAULT(struct_race)
}
kernel void barrier_after_return(device float* data, uint i [[thread_position_in_threadgroup]]) {
  if (i >= 60) return;
  threadgroup_barrier(mem_flags::mem_device);  // FAULT(barrier_after_return)
  data[i] = 1;
}
kernel void barrier_in_branch(device float* data, uint i [[thread_position_in_threadgroup]]) {
  if (i < 32) {
    threadgroup_barrier(mem_flags::mem_device);  // FAULT(barrier_in_branch)
  } else {
    threadgroup_barrier(mem_flags::mem_device);
  }
  data[i] = 1;
}
kernel void simd_in_branch(device float* data, uint i [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  float x = data[i];
  if (lane < 16) x = simd_sum(x);  // FAULT(simd_in_branch)
  data[i] = simd_shuffle(x, lane);
}
kernel void order_dependent(device atomic_float* data, uint i [[thread_position_in_threadgroup]]) {
  // What is added to 1e8 before the other large number takes it away again is lost.
  const float x = i == 0 ? 1e8f : i == 63 ? -1e8f : 1.0f;  // FAULT(order_dependent)
  atomic_fetch_add_explicit(data, x, memory_order_relaxed);
}

kernel void fine_exchange(device float* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[64];
  shared[i] = data[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  data[i] = shared[63 - i];
}
kernel void fine_simdgroup_exchange(device float* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[64];
  shared[i] = data[i];
  simdgroup_barrier(mem_flags::mem_threadgroup);
  data[i] = shared[i ^ 31];
}
kernel void fine_device_exchange(device float* data, uint i [[thread_position_in_threadgroup]]) {
  const float other = data[63 - i];
  threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
  data[i] = other;
}
kernel void fine_return(device float* data, uint i [[thread_position_in_threadgroup]]) {
  if (i >= 40) return;
  data[i] = simd_sum(data[i]);
}
kernel void fine_branch(device float* data, uint i [[thread_position_in_threadgroup]], uint group [[simdgroup_index_in_threadgroup]]) {
  if (group == 1) data[i] = simd_max(data[i]);
}
kernel void fine_atomics(device atomic_uint* data, uint i [[thread_position_in_threadgroup]]) {
  atomic_fetch_add_explicit(data + i % 8, 1u, memory_order_relaxed);
}
kernel void fine_bytes(device uchar* data, uint i [[thread_position_in_threadgroup]]) {
  threadgroup uchar shared[64];
  shared[i] = data[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  data[i] = shared[i ^ 1];
}
