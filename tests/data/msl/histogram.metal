// Atomics in threadgroup memory first, then one merge a threadgroup into device memory.
#include <metal_atomic>
#include <metal_stdlib>
using namespace metal;

namespace histogram {
constant uint kBins = 64;

kernel void histogram(device const uchar* in, device atomic_uint* bins, constant uint& n,
                      uint gid [[thread_position_in_grid]], uint tid [[thread_index_in_threadgroup]],
                      uint3 size [[threads_per_threadgroup]], uint3 grid [[threads_per_grid]]) {
  threadgroup atomic_uint local[kBins];
  for (uint i = tid; i < kBins; i += size.x) atomic_store_explicit(&local[i], 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = gid; i < n; i += grid.x) atomic_fetch_add_explicit(&local[in[i] % kBins], 1u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = tid; i < kBins; i += size.x) {
    const uint count = atomic_load_explicit(&local[i], memory_order_relaxed);
    if (count != 0) atomic_fetch_add_explicit(bins + i, count, memory_order_relaxed);
  }
}
}  // namespace histogram
