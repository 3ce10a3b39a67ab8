// 6.9: barriers, and functions of a simdgroup and of four lanes. No long is passed between lanes, and what is bitwise takes
// integers.
#pragma once
#pragma GCC system_header

namespace metal {

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4, mem_threadgroup_imageblock = 8, mem_object_data = 16 };
constexpr mem_flags operator|(mem_flags a, mem_flags b) {
  return static_cast<mem_flags>(static_cast<int>(a) | static_cast<int>(b));
}
void threadgroup_barrier(mem_flags flags);
void simdgroup_barrier(mem_flags flags);

#define LATTICE_STRICT_LANES \
  template <typename T, typename = enable_if_t<(strict::is_float_like<T>::value || strict::is_integer_like<T>::value) && !strict::is_long_like<T>::value>>
#define LATTICE_STRICT_LANES_BITWISE \
  template <typename T, typename = enable_if_t<strict::is_integer_like<T>::value && !strict::is_long_like<T>::value>>

#define LATTICE_STRICT_GROUP(group)                                                                                   \
  struct group##_vote {                                                                                               \
    typedef ulong vote_t;                                                                                             \
    explicit constexpr group##_vote(vote_t v = 0) : v_(v) {}                                                          \
    explicit constexpr operator vote_t() const { return v_; }                                                         \
    bool all() const;                                                                                                 \
    bool any() const;                                                                                                 \
    vote_t v_;                                                                                                        \
  };                                                                                                                  \
  group##_vote group##_active_threads_mask();                                                                         \
  group##_vote group##_ballot(bool expr);                                                                             \
  bool group##_all(bool expr);                                                                                        \
  bool group##_any(bool expr);                                                                                        \
  bool group##_is_first();                                                                                            \
  LATTICE_STRICT_LANES T group##_broadcast(T data, ushort lane);                                                      \
  LATTICE_STRICT_LANES T group##_broadcast_first(T data);                                                             \
  LATTICE_STRICT_LANES T group##_shuffle(T data, ushort lane);                                                        \
  LATTICE_STRICT_LANES T group##_shuffle_and_fill_down(T data, T filling, ushort delta);                              \
  LATTICE_STRICT_LANES T group##_shuffle_and_fill_down(T data, T filling, ushort delta, ushort modulo);               \
  LATTICE_STRICT_LANES T group##_shuffle_and_fill_up(T data, T filling, ushort delta);                                \
  LATTICE_STRICT_LANES T group##_shuffle_and_fill_up(T data, T filling, ushort delta, ushort modulo);                 \
  LATTICE_STRICT_LANES T group##_shuffle_down(T data, ushort delta);                                                  \
  LATTICE_STRICT_LANES T group##_shuffle_rotate_down(T data, ushort delta);                                           \
  LATTICE_STRICT_LANES T group##_shuffle_rotate_up(T data, ushort delta);                                             \
  LATTICE_STRICT_LANES T group##_shuffle_up(T data, ushort delta);                                                    \
  LATTICE_STRICT_LANES_BITWISE T group##_shuffle_xor(T value, ushort mask);                                           \
  LATTICE_STRICT_LANES_BITWISE T group##_and(T data);                                                                 \
  LATTICE_STRICT_LANES_BITWISE T group##_or(T data);                                                                  \
  LATTICE_STRICT_LANES_BITWISE T group##_xor(T data);                                                                 \
  LATTICE_STRICT_LANES T group##_max(T data);                                                                         \
  LATTICE_STRICT_LANES T group##_min(T data);                                                                         \
  LATTICE_STRICT_LANES T group##_product(T data);                                                                     \
  LATTICE_STRICT_LANES T group##_sum(T data);                                                                         \
  LATTICE_STRICT_LANES T group##_prefix_exclusive_product(T data);                                                    \
  LATTICE_STRICT_LANES T group##_prefix_exclusive_sum(T data);                                                        \
  LATTICE_STRICT_LANES T group##_prefix_inclusive_product(T data);                                                    \
  LATTICE_STRICT_LANES T group##_prefix_inclusive_sum(T data);
LATTICE_STRICT_GROUP(simd)
LATTICE_STRICT_GROUP(quad)

#undef LATTICE_STRICT_GROUP
#undef LATTICE_STRICT_LANES
#undef LATTICE_STRICT_LANES_BITWISE

}  // namespace metal
