// Barriers and atomics on CUDA. __syncthreads orders all memory, whatever the flags name.
#pragma once

#include "traits.h"

namespace lattice_msl::target {

LATTICE_MSL_INLINE void threadgroup_barrier(unsigned) { __syncthreads(); }
LATTICE_MSL_INLINE void simdgroup_barrier(unsigned) { __syncwarp(__activemask()); }
LATTICE_MSL_INLINE void fence() { __threadfence(); }

// What stdlib/hints.h asks for. Programmatic dependent launch and bulk prefetch begin with sm_90.
LATTICE_MSL_INLINE void wait_for_inputs() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
LATTICE_MSL_INLINE void allow_next() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
/// Of a vector of four words.
template <class T> LATTICE_MSL_INLINE T load_streamed(const T* from) {
  static_assert(sizeof(T) == 16, "streamed loads have 16 bytes");
  unsigned x, y, z, w;
  unsigned long policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  asm volatile("ld.global.L1::no_allocate.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%4], %5;"
               : "=r"(x), "=r"(y), "=r"(z), "=r"(w)
               : "l"(from), "l"(policy));
  return T(x, y, z, w);
}
/// A use that the compiler cannot take away: a shuffle of each lane with itself.
LATTICE_MSL_INLINE float arrived(float x) {
  float out;
  asm volatile("shfl.sync.bfly.b32 %0, %1, 0, 0x1f, 0xffffffff;" : "=f"(out) : "f"(x));
  return out;
}
LATTICE_MSL_INLINE void prefetch(const void* from, unsigned bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes));
#endif
}

template <class T> LATTICE_MSL_INLINE T atomic_load(const volatile T* object) { return *object; }
template <class T> LATTICE_MSL_INLINE void atomic_store(volatile T* object, T desired) { *object = desired; }

// By bits, so that every type of 4 and of 8 bytes has it; a bool is held in a byte of a word of its own.
template <class T> LATTICE_MSL_INLINE bool atomic_compare_exchange(volatile T* object, T& expected, T desired) {
  using Bits = metal::conditional_t<sizeof(T) == 8, unsigned long long, unsigned>;
  static_assert(sizeof(T) == sizeof(Bits), "atomics have 4 or 8 bytes");
  const Bits want = __builtin_bit_cast(Bits, expected);
  const Bits found = atomicCAS(reinterpret_cast<Bits*>(const_cast<T*>(object)), want, __builtin_bit_cast(Bits, desired));
  expected = __builtin_bit_cast(T, found);
  return found == want;
}
template <class T, class F> LATTICE_MSL_INLINE T atomic_fetch(volatile T* object, T operand, F f) {
  T old = *object;
  while (!atomic_compare_exchange(object, old, f(old, operand))) {
  }
  return old;
}
template <class T> LATTICE_MSL_INLINE T atomic_exchange(volatile T* object, T desired) {
  return atomic_fetch(object, desired, [](T, T next) { return next; });
}
template <class T, class F> LATTICE_MSL_INLINE T atomic_fetch_add(volatile T* object, T operand, F f) {
  if constexpr (metal::is_any_of<T, int, unsigned, float>) return ::atomicAdd(const_cast<T*>(object), operand);
  else return atomic_fetch(object, operand, f);
}
#define LATTICE_MSL_FETCH(name)                                                                                     \
  template <class T, class F> LATTICE_MSL_INLINE T atomic_fetch_##name(volatile T* object, T operand, F f) {        \
    return atomic_fetch(object, operand, f);                                                                        \
  }
LATTICE_MSL_FETCH(sub) LATTICE_MSL_FETCH(and) LATTICE_MSL_FETCH(or) LATTICE_MSL_FETCH(xor)
LATTICE_MSL_FETCH(min) LATTICE_MSL_FETCH(max)
#undef LATTICE_MSL_FETCH

}  // namespace lattice_msl::target
