// simd_ and quad_ functions. A target brings reduce, prefix, shuffle, ballot and active_mask.
#pragma once

#include "limits.h"
#include "math.h"

namespace lattice_msl {
namespace metal {

// ---- what a reduction does with two values; of vectors, element by element

#define LATTICE_MSL_REDUCTION(Name, expression, neutral)                                                            \
  struct Name {                                                                                                     \
    template <class T> static constexpr T apply(const T& a, const T& b) { return static_cast<T>(expression); }      \
    template <class T> static constexpr T identity() { return T(element_of<T>(neutral)); }                          \
  };
namespace reductions {
LATTICE_MSL_REDUCTION(Sum, a + b, 0)
LATTICE_MSL_REDUCTION(Product, a* b, 1)
LATTICE_MSL_REDUCTION(Min, metal::min(a, b), numeric_limits<element_of<T>>::max())
LATTICE_MSL_REDUCTION(Max, metal::max(a, b), numeric_limits<element_of<T>>::lowest())
LATTICE_MSL_REDUCTION(And, a& b, ~element_of<T>(0))
LATTICE_MSL_REDUCTION(Or, a | b, 0)
LATTICE_MSL_REDUCTION(Xor, a ^ b, 0)
}  // namespace reductions
#undef LATTICE_MSL_REDUCTION

// A swizzle or a packed vector travels as the vector that it stands for.
template <class T> struct carried { using type = T; };
template <VectorLike V> struct carried<V> { using type = vec<element_of<V>, size_of<V>>; };
template <class T> using carried_t = typename carried<T>::type;

/// What simd_ballot and quad_ballot return.
struct simd_vote {
  using vote_t = uint64_t;
  vote_t votes;
  vote_t lanes;  // that took part
  constexpr explicit simd_vote(vote_t v = 0, vote_t of = 0xffffffffu) : votes(v), lanes(of) {}
  constexpr explicit operator vote_t() const { return votes; }
  constexpr explicit operator uint() const { return static_cast<uint>(votes); }
  constexpr bool all() const { return votes == lanes; }
  constexpr bool any() const { return votes != 0; }
};
using quad_vote = simd_vote;

#define LATTICE_MSL_REDUCE(scope, Scope, name, Op)                                                                  \
  template <class T> LATTICE_MSL_INLINE carried_t<T> scope##_##name(const T& value LATTICE_MSL_SITE) {              \
    return target::reduce<reductions::Op, Scope>(carried_t<T>(value), #scope "_" #name LATTICE_MSL_AT);             \
  }
#define LATTICE_MSL_PREFIX(scope, Scope, name, Op, inclusive)                                                       \
  template <class T> LATTICE_MSL_INLINE carried_t<T> scope##_##name(const T& value LATTICE_MSL_SITE) {              \
    return target::prefix<reductions::Op, Scope, inclusive>(carried_t<T>(value), #scope "_" #name LATTICE_MSL_AT);  \
  }
// `amount` is a lane or a distance; `from` the source, by `lane` and the group's `width`.
#define LATTICE_MSL_SHUFFLE(scope, Scope, name, from)                                                               \
  template <class T>                                                                                                \
  LATTICE_MSL_INLINE carried_t<T> scope##_##name(const T& value, ushort amount LATTICE_MSL_SITE) {                  \
    return target::shuffle<Scope>(                                                                                  \
        carried_t<T>(value),                                                                                        \
        [amount]([[maybe_unused]] unsigned lane, [[maybe_unused]] unsigned width) -> unsigned { return from; },     \
        #scope "_" #name LATTICE_MSL_AT);                                                                           \
  }

#define LATTICE_MSL_SCOPE(scope, Scope)                                                                             \
  LATTICE_MSL_REDUCE(scope, Scope, sum, Sum) LATTICE_MSL_REDUCE(scope, Scope, product, Product)                     \
  LATTICE_MSL_REDUCE(scope, Scope, min, Min) LATTICE_MSL_REDUCE(scope, Scope, max, Max)                             \
  LATTICE_MSL_REDUCE(scope, Scope, and, And) LATTICE_MSL_REDUCE(scope, Scope, or, Or)                               \
  LATTICE_MSL_REDUCE(scope, Scope, xor, Xor)                                                                        \
  LATTICE_MSL_PREFIX(scope, Scope, prefix_inclusive_sum, Sum, true)                                                 \
  LATTICE_MSL_PREFIX(scope, Scope, prefix_exclusive_sum, Sum, false)                                                \
  LATTICE_MSL_PREFIX(scope, Scope, prefix_inclusive_product, Product, true)                                         \
  LATTICE_MSL_PREFIX(scope, Scope, prefix_exclusive_product, Product, false)                                        \
  LATTICE_MSL_SHUFFLE(scope, Scope, broadcast, amount) LATTICE_MSL_SHUFFLE(scope, Scope, shuffle, amount)           \
  LATTICE_MSL_SHUFFLE(scope, Scope, shuffle_xor, lane ^ amount)                                                     \
  LATTICE_MSL_SHUFFLE(scope, Scope, shuffle_down, lane + amount)                                                    \
  LATTICE_MSL_SHUFFLE(scope, Scope, shuffle_up, lane - amount)                                                      \
  LATTICE_MSL_SHUFFLE(scope, Scope, shuffle_rotate_down, (lane + amount) % width)                                   \
  LATTICE_MSL_SHUFFLE(scope, Scope, shuffle_rotate_up, (lane + width - amount % width) % width)                     \
  template <class T>                                                                                                \
  LATTICE_MSL_INLINE carried_t<T> scope##_broadcast_first(const T& value LATTICE_MSL_SITE) {                        \
    unsigned lane = 0;                                                                                              \
    const unsigned active = target::active_mask<Scope>(lane, #scope "_broadcast_first" LATTICE_MSL_AT);             \
    return target::shuffle<Scope>(                                                                                  \
        carried_t<T>(value), [active](unsigned, unsigned) -> unsigned { return metal::ctz(active); },               \
        #scope "_broadcast_first" LATTICE_MSL_AT);                                                                  \
  }                                                                                                                 \
  template <class T>                                                                                                \
  LATTICE_MSL_INLINE carried_t<T> scope##_shuffle_and_fill_down(const T& value, const T& filling,                   \
                                                                ushort delta LATTICE_MSL_SITE) {                    \
    return target::shuffle_and_fill<Scope>(                                                                         \
        carried_t<T>(value), carried_t<T>(filling), [delta](unsigned lane, unsigned) { return lane + delta; },      \
        [delta](unsigned lane, unsigned width) { return (lane + delta) % width; },                                  \
        #scope "_shuffle_and_fill_down" LATTICE_MSL_AT);                                                            \
  }                                                                                                                 \
  template <class T>                                                                                                \
  LATTICE_MSL_INLINE carried_t<T> scope##_shuffle_and_fill_up(const T& value, const T& filling,                     \
                                                              ushort delta LATTICE_MSL_SITE) {                      \
    return target::shuffle_and_fill<Scope>(                                                                         \
        carried_t<T>(value), carried_t<T>(filling), [delta](unsigned lane, unsigned) { return lane - delta; },      \
        [delta](unsigned lane, unsigned width) { return (lane + width - delta % width) % width; },                  \
        #scope "_shuffle_and_fill_up" LATTICE_MSL_AT);                                                              \
  }                                                                                                                 \
  LATTICE_MSL_INLINE simd_vote scope##_active_threads_mask(LATTICE_MSL_ONLY_SITE) {                                 \
    unsigned lane = 0;                                                                                              \
    const unsigned active = target::active_mask<Scope>(lane, #scope "_active_threads_mask" LATTICE_MSL_AT);         \
    return simd_vote(active, active);                                                                               \
  }                                                                                                                 \
  LATTICE_MSL_INLINE simd_vote scope##_ballot(bool value LATTICE_MSL_SITE) {                                        \
    unsigned lane = 0;                                                                                              \
    const unsigned active = target::active_mask<Scope>(lane, #scope "_ballot" LATTICE_MSL_AT);                      \
    return simd_vote(target::ballot<Scope>(value, #scope "_ballot" LATTICE_MSL_AT), active);                        \
  }                                                                                                                 \
  LATTICE_MSL_INLINE bool scope##_any(bool value LATTICE_MSL_SITE) {                                                \
    return target::ballot<Scope>(value, #scope "_any" LATTICE_MSL_AT) != 0;                                         \
  }                                                                                                                 \
  LATTICE_MSL_INLINE bool scope##_all(bool value LATTICE_MSL_SITE) {                                                \
    return target::ballot<Scope>(!value, #scope "_all" LATTICE_MSL_AT) == 0;                                        \
  }                                                                                                                 \
  LATTICE_MSL_INLINE bool scope##_is_first(LATTICE_MSL_ONLY_SITE) {                                                 \
    unsigned lane = 0;                                                                                              \
    const unsigned active = target::active_mask<Scope>(lane, #scope "_is_first" LATTICE_MSL_AT);                    \
    return static_cast<unsigned>(metal::ctz(active)) == lane;                                                       \
  }
LATTICE_MSL_SCOPE(simd, lattice::soft::kSimdScope)
LATTICE_MSL_SCOPE(quad, lattice::soft::kQuadScope)
#undef LATTICE_MSL_SCOPE
#undef LATTICE_MSL_REDUCE
#undef LATTICE_MSL_PREFIX
#undef LATTICE_MSL_SHUFFLE

}  // namespace metal
}  // namespace lattice_msl
