// Barriers, atomics and threadgroup storage of the soft device.
#pragma once

#include "traits.h"

// An atomic is told to the checker as such, and must not be told a second time as the plain access that it looks like.
#ifdef __clang__
#define LATTICE_MSL_UNCHECKED __attribute__((noinline, no_sanitize("thread"), disable_sanitizer_instrumentation))
#else
#define LATTICE_MSL_UNCHECKED __attribute__((noinline, no_sanitize("thread")))
#endif

namespace lattice_msl::target {

LATTICE_MSL_INLINE void threadgroup_barrier(unsigned flags, lattice::soft::Site site) { runtime->threadgroup_barrier(flags, site); }
LATTICE_MSL_INLINE void simdgroup_barrier(unsigned flags, lattice::soft::Site site) { runtime->simdgroup_barrier(flags, site); }
LATTICE_MSL_INLINE void fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// Dispatches run one after the other here, and memory has one level.
LATTICE_MSL_INLINE void wait_for_inputs() {}
LATTICE_MSL_INLINE void allow_next() {}
template <class T> LATTICE_MSL_INLINE T load_streamed(const T* from) { return *from; }
LATTICE_MSL_INLINE float arrived(float x) { return x; }
LATTICE_MSL_INLINE void prefetch(const void*, unsigned) {}

LATTICE_MSL_INLINE void note_atomic([[maybe_unused]] const volatile void* object, [[maybe_unused]] unsigned long bytes,
                                    [[maybe_unused]] lattice::soft::AccessKind kind = lattice::soft::kAtomic) {
#ifdef LATTICE_MSL_CHECK
  runtime->access(object, bytes, kind, __builtin_return_address(0));
#endif
}

template <class T> LATTICE_MSL_UNCHECKED T atomic_load(const volatile T* object) {
  note_atomic(object, sizeof(T));
  T out;
  __atomic_load(const_cast<const T*>(object), &out, __ATOMIC_RELAXED);
  return out;
}
template <class T> LATTICE_MSL_UNCHECKED void atomic_store(volatile T* object, T desired) {
  note_atomic(object, sizeof(T), lattice::soft::kAtomicStore);
  __atomic_store(const_cast<T*>(object), &desired, __ATOMIC_RELAXED);
}
template <class T> LATTICE_MSL_UNCHECKED T atomic_exchange(volatile T* object, T desired) {
  note_atomic(object, sizeof(T));
  T out;
  __atomic_exchange(const_cast<T*>(object), &desired, &out, __ATOMIC_RELAXED);
  return out;
}
template <class T> LATTICE_MSL_UNCHECKED bool atomic_compare_exchange(volatile T* object, T& expected, T desired) {
  note_atomic(object, sizeof(T));
  return __atomic_compare_exchange(const_cast<T*>(object), &expected, &desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
// Any read-modify-write, floating-point ones too, as a compare-and-exchange loop.
template <class T, class F> LATTICE_MSL_UNCHECKED T atomic_fetch(volatile T* object, T operand, F f) {
  note_atomic(object, sizeof(T));
  T old;
  __atomic_load(const_cast<const T*>(object), &old, __ATOMIC_RELAXED);
  while (true) {
    T next = f(old, operand);
    if (__atomic_compare_exchange(const_cast<T*>(object), &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return old;
  }
}
#define LATTICE_MSL_FETCH(name)                                                                                     \
  template <class T, class F> LATTICE_MSL_INLINE T atomic_fetch_##name(volatile T* object, T operand, F f) {        \
    return atomic_fetch(object, operand, f);                                                                        \
  }
LATTICE_MSL_FETCH(add) LATTICE_MSL_FETCH(sub) LATTICE_MSL_FETCH(and) LATTICE_MSL_FETCH(or) LATTICE_MSL_FETCH(xor)
LATTICE_MSL_FETCH(min) LATTICE_MSL_FETCH(max)
#undef LATTICE_MSL_FETCH

template <class T>
LATTICE_MSL_INLINE T& threadgroup_variable(unsigned id) {
  return *static_cast<T*>(runtime->threadgroup_variable(id, sizeof(T), alignof(T)));
}

}  // namespace lattice_msl::target
