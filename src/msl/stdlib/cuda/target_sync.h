// Barriers and atomics on CUDA. __syncthreads orders all memory, whatever the flags name.
#pragma once

#include "traits.h"

namespace lattice_msl::target {

LATTICE_MSL_INLINE void threadgroup_barrier(unsigned) { __syncthreads(); }
LATTICE_MSL_INLINE void simdgroup_barrier(unsigned) { __syncwarp(__activemask()); }
LATTICE_MSL_INLINE void fence() { __threadfence(); }

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
