// Simdgroup primitives on CUDA: a warp, by shuffles among the lanes that are active.
#pragma once

#include "vec.h"

namespace lattice_msl::target {

using lattice::soft::Scope;

LATTICE_MSL_INLINE unsigned current_lane() {
  unsigned lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}
template <Scope S> inline constexpr unsigned width_of = S == lattice::soft::kSimdScope ? 32u : 4u;
template <Scope S> LATTICE_MSL_INLINE unsigned group_first() { return current_lane() & ~(width_of<S> - 1); }
// Of the lane's group, from bit 0.
template <Scope S> LATTICE_MSL_INLINE unsigned group_mask(unsigned warp) {
  return S == lattice::soft::kSimdScope ? warp : (warp >> group_first<S>()) & 0xfu;
}

/// A value of any size from another lane of the warp, by words of 32 bits.
template <class T>
LATTICE_MSL_INLINE T from_lane(unsigned active, const T& value, unsigned lane) {
  constexpr unsigned words = (sizeof(T) + 3) / 4;
  union Words {
    unsigned word[words];
    T value;
    constexpr Words() : word() {}
  } bits;
  bits.value = value;
  for (unsigned i = 0; i < words; ++i) bits.word[i] = __shfl_sync(active, bits.word[i], static_cast<int>(lane));
  return bits.value;
}

/// The same from the lane whose number differs in the bits of `step`, in a whole warp.
template <class T>
LATTICE_MSL_INLINE T from_xor_lane(const T& value, unsigned step) {
  if constexpr (sizeof(T) == 4) {
    return __builtin_bit_cast(T, __shfl_xor_sync(0xffffffffu, __builtin_bit_cast(unsigned, value), static_cast<int>(step)));
  } else {
    return from_lane(0xffffffffu, value, current_lane() ^ step);
  }
}

// For stdlib/hints.h: what needs no look at which lanes are active.
#define LATTICE_MSL_WHOLE_SIMDGROUPS
LATTICE_MSL_INLINE float whole_simd_sum(float x) {
  for (unsigned step = 16; step > 0; step /= 2) x += from_xor_lane(x, step);
  return x;
}

/// d + a · b over 32 bytes, 16 rows by 8 columns.
LATTICE_MSL_INLINE void mma_bytes(metal::int4& d, unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
/// A lane gives column lane / 4 of the right operand, of which only the lane at column / 2 has what is not zero: so that each lane of
/// four has sums of its own in columns 2 (lane % 4) and the next, which are those that the instruction leaves it.
struct ByteOperand {
  const metal::uint4* upper;
  const metal::uint4* low;
};
LATTICE_MSL_INLINE ByteOperand make_byte_operand(const metal::uint4* x, const metal::uint4* y, const metal::uint4* z,
                                                 const metal::uint4* zeros, unsigned lane) {
  const bool own = lane % 4 == lane / 8, second = (lane & 4u) != 0;
  return {!own ? zeros : second ? y : x, own && !second ? z : zeros};
}
LATTICE_MSL_INLINE void byte_dots(metal::int4& upper, metal::int4& low, const metal::uint4& a, const metal::uint4& b,
                                  ByteOperand operand, unsigned i) {
  const metal::uint4 own = operand.upper[i], own_low = operand.low[i];
  mma_bytes(upper, a[0], b[0], a[1], b[1], own[0], own[1]);
  mma_bytes(low, a[0], b[0], a[1], b[1], own_low[0], own_low[1]);
  mma_bytes(upper, a[2], b[2], a[3], b[3], own[2], own[3]);
  mma_bytes(low, a[2], b[2], a[3], b[3], own_low[2], own_low[3]);
}

template <class Op, Scope S, class T>
LATTICE_MSL_INLINE T reduce(const T& value, const char*) {
  const unsigned active = __activemask();
  T out = value;
  if (active == 0xffffffffu) {
    for (unsigned step = 1; step < width_of<S>; step *= 2) out = Op::apply(out, from_xor_lane(out, step));
    return out;
  }
  out = Op::template identity<T>();
#pragma unroll 1  // rare: it must not cost the usual path its registers
  for (unsigned i = 0; i < width_of<S>; ++i) {
    const unsigned lane = group_first<S>() + i;
    const T other = from_lane(active, value, lane);
    if ((active >> lane) & 1u) out = Op::apply(out, other);
  }
  return out;
}
template <class Op, Scope S, bool Inclusive, class T>
LATTICE_MSL_INLINE T prefix(const T& value, const char*) {
  const unsigned active = __activemask();
  T out = Op::template identity<T>();
  for (unsigned i = 0; i < width_of<S>; ++i) {
    const unsigned lane = group_first<S>() + i;
    const T other = from_lane(active, value, lane);
    if (((active >> lane) & 1u) && lane < current_lane() + (Inclusive ? 1 : 0)) out = static_cast<T>(Op::apply(out, other));
  }
  return out;
}
template <Scope S, class T, class F>
LATTICE_MSL_INLINE T shuffle(const T& value, F source, const char*) {
  const unsigned active = __activemask();
  const unsigned first = group_first<S>();
  const unsigned from = source(current_lane() - first, width_of<S>);
  const T out = from_lane(active, value, first + from % width_of<S>);
  return from < width_of<S> && ((active >> (first + from)) & 1u) ? out : value;
}
template <Scope S, class T, class F, class G>
LATTICE_MSL_INLINE T shuffle_and_fill(const T& value, const T& filling, F source, G fill, const char*) {
  const unsigned active = __activemask();
  const unsigned first = group_first<S>();
  const unsigned lane = current_lane() - first;
  const unsigned from = source(lane, width_of<S>);
  const T kept = from_lane(active, value, first + from % width_of<S>);
  const T filled = from_lane(active, filling, first + fill(lane, width_of<S>));
  return from < width_of<S> ? kept : filled;
}
template <Scope S> LATTICE_MSL_INLINE unsigned ballot(bool value, const char*) { return group_mask<S>(__ballot_sync(__activemask(), value)); }
template <Scope S> LATTICE_MSL_INLINE unsigned active_mask(unsigned& lane, const char*) {
  lane = current_lane() - group_first<S>();
  return group_mask<S>(__activemask());
}

}  // namespace lattice_msl::target
