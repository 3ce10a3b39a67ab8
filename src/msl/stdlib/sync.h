// Barriers, their flags, and atomics. A target brings threadgroup_barrier, simdgroup_barrier and atomic_ primitives.
#pragma once

#include "math.h"

namespace lattice_msl {
namespace metal {

enum class mem_flags : uint {
  mem_none = 0,
  mem_device = lattice::soft::kDeviceMemory,
  mem_threadgroup = lattice::soft::kThreadgroupMemory,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return static_cast<mem_flags>(static_cast<uint>(a) | static_cast<uint>(b)); }
constexpr mem_flags operator&(mem_flags a, mem_flags b) { return static_cast<mem_flags>(static_cast<uint>(a) & static_cast<uint>(b)); }

enum memory_order { memory_order_relaxed, memory_order_acquire, memory_order_release, memory_order_acq_rel, memory_order_seq_cst };
enum thread_scope { thread_scope_thread, thread_scope_simdgroup, thread_scope_threadgroup, thread_scope_device };

LATTICE_MSL_INLINE void threadgroup_barrier(mem_flags flags LATTICE_MSL_SITE) {
  target::threadgroup_barrier(static_cast<uint>(flags) LATTICE_MSL_AT);
}
LATTICE_MSL_INLINE void simdgroup_barrier(mem_flags flags LATTICE_MSL_SITE) {
  target::simdgroup_barrier(static_cast<uint>(flags) LATTICE_MSL_AT);
}
LATTICE_MSL_INLINE void atomic_thread_fence(mem_flags, memory_order, thread_scope = thread_scope_device) { target::fence(); }

template <class T>
struct atomic {
  T value;
};

}  // namespace metal

using atomic_int = metal::atomic<int>;
using atomic_uint = metal::atomic<uint>;
using atomic_bool = metal::atomic<bool>;
using atomic_float = metal::atomic<float>;
using atomic_ulong = metal::atomic<ulong>;

namespace metal {
using lattice_msl::atomic_bool;
using lattice_msl::atomic_float;
using lattice_msl::atomic_int;
using lattice_msl::atomic_uint;
using lattice_msl::atomic_ulong;

template <class T> T atomic_load_explicit(const volatile atomic<T>* object, memory_order) { return target::atomic_load(&object->value); }
template <class T> void atomic_store_explicit(volatile atomic<T>* object, identity_t<T> desired, memory_order) {
  target::atomic_store(&object->value, desired);
}
template <class T> T atomic_exchange_explicit(volatile atomic<T>* object, identity_t<T> desired, memory_order) {
  return target::atomic_exchange(&object->value, desired);
}
template <class T>
bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* object, T* expected, identity_t<T> desired, memory_order, memory_order) {
  return target::atomic_compare_exchange(&object->value, *expected, desired);
}
#define LATTICE_MSL_FETCH(name, expression)                                                                         \
  template <class T> T atomic_fetch_##name##_explicit(volatile atomic<T>* object, identity_t<T> operand, memory_order) { \
    return target::atomic_fetch_##name(&object->value, operand, [](T x, T y) { return static_cast<T>(expression); }); \
  }
LATTICE_MSL_FETCH(add, x + y)
LATTICE_MSL_FETCH(sub, x - y)
LATTICE_MSL_FETCH(and, x & y)
LATTICE_MSL_FETCH(or, x | y)
LATTICE_MSL_FETCH(xor, x ^ y)
LATTICE_MSL_FETCH(min, y < x ? y : x)
LATTICE_MSL_FETCH(max, x < y ? y : x)
#undef LATTICE_MSL_FETCH
template <class T> void atomic_min_explicit(volatile atomic<T>* object, identity_t<T> operand, memory_order order) {
  atomic_fetch_min_explicit(object, operand, order);
}
template <class T> void atomic_max_explicit(volatile atomic<T>* object, identity_t<T> operand, memory_order order) {
  atomic_fetch_max_explicit(object, operand, order);
}

}  // namespace metal
}  // namespace lattice_msl
