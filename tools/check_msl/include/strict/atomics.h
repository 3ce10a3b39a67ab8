// 2.6 and 6.15: atomics of 32 bits in device and threadgroup memory; of 64 bits only ulong, in device memory, and of that only a
// minimum and a maximum without a result. Metal 3.1 orders them relaxed and no other way.
#pragma once
#pragma GCC system_header

namespace metal {

enum memory_order { memory_order_relaxed };

template <typename T>
struct atomic {
  static_assert(is_same<T, int>::value || is_same<T, uint>::value || is_same<T, bool>::value || is_same<T, float>::value ||
                    is_same<T, ulong>::value,
                "atomics hold int, uint, bool, float or ulong");
  atomic() = default;
  atomic(const atomic&) = delete;
  T value_;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;

namespace strict {
template <typename T> struct is_word { enum { value = sizeof(T) <= 4 }; };
template <typename T> struct counts { enum { value = is_same<T, int>::value || is_same<T, uint>::value }; };
template <typename T> struct identity { typedef T type; };
template <typename T> using plain = typename identity<T>::type;  // of which nothing is deduced
}  // namespace strict

#define LATTICE_STRICT_ATOMICS(space)                                                                                 \
  template <typename T, typename = enable_if_t<strict::is_word<T>::value>>                                            \
  void atomic_store_explicit(volatile space atomic<T>* object, strict::plain<T> desired, memory_order order);         \
  template <typename T, typename = enable_if_t<strict::is_word<T>::value>>                                            \
  T atomic_load_explicit(const volatile space atomic<T>* object, memory_order order);                                 \
  template <typename T, typename = enable_if_t<strict::is_word<T>::value>>                                            \
  T atomic_exchange_explicit(volatile space atomic<T>* object, strict::plain<T> desired, memory_order order);         \
  template <typename T, typename = enable_if_t<strict::is_word<T>::value>>                                            \
  bool atomic_compare_exchange_weak_explicit(volatile space atomic<T>* object, thread T* expected,                    \
                                             strict::plain<T> desired, memory_order succeeds, memory_order fails);    \
  LATTICE_STRICT_FETCH(space, and) LATTICE_STRICT_FETCH(space, max) LATTICE_STRICT_FETCH(space, min)                  \
  LATTICE_STRICT_FETCH(space, or) LATTICE_STRICT_FETCH(space, xor)                                                    \
  LATTICE_STRICT_FETCH(space, add) LATTICE_STRICT_FETCH(space, sub)
#define LATTICE_STRICT_FETCH(space, name)                                                                             \
  template <typename T, typename = enable_if_t<strict::counts<T>::value>>                                             \
  T atomic_fetch_##name##_explicit(volatile space atomic<T>* object, strict::plain<T> operand, memory_order order);
LATTICE_STRICT_ATOMICS(device)
LATTICE_STRICT_ATOMICS(threadgroup)
#undef LATTICE_STRICT_ATOMICS
#undef LATTICE_STRICT_FETCH

// Of floats, in device memory.
float atomic_fetch_add_explicit(volatile device atomic_float* object, float operand, memory_order order);
float atomic_fetch_sub_explicit(volatile device atomic_float* object, float operand, memory_order order);
void atomic_max_explicit(volatile device atomic_ulong* object, ulong operand, memory_order order);
void atomic_min_explicit(volatile device atomic_ulong* object, ulong operand, memory_order order);

}  // namespace metal
