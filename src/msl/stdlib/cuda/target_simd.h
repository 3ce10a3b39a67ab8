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
// One instruction each, of integers.
LATTICE_MSL_INLINE int whole_simd_sum(int x) { return __reduce_add_sync(0xffffffffu, x); }
LATTICE_MSL_INLINE unsigned whole_simd_max(unsigned x) { return __reduce_max_sync(0xffffffffu, x); }

/// What sums start from rather than from zero: the bits of 1.5 · 2^23, so that below 2^22 they are the last bits of a float. In registers
/// side by side, as the instruction wants them: a constant would be moved there each time.
LATTICE_MSL_INLINE metal::int4 sum_start() {
  metal::int4 start;
  asm volatile("mov.b32 %0, 0x4b400000;\n\tmov.b32 %1, 0x4b400000;\n\tmov.b32 %2, 0x4b400000;\n\tmov.b32 %3, 0x4b400000;"
               : "=r"(start[0]), "=r"(start[1]), "=r"(start[2]), "=r"(start[3]));
  return start;
}

/// a · b over 32 bytes, 16 rows by 8 columns, from `start` on.
LATTICE_MSL_INLINE metal::int4 mma_bytes(const metal::int4& start, unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
  metal::int4 d;
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "r"(start[0]), "r"(start[1]), "r"(start[2]), "r"(start[3]));
  return d;
}
/// a · b over 16 halves, 16 rows by 8 columns, from `start` on.
LATTICE_MSL_INLINE metal::float4 mma_halves(const metal::uint4& a, const metal::uint2& b, const metal::float4& start) {
  metal::float4 d;
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(start[0]), "f"(start[1]), "f"(start[2]), "f"(start[3]));
  return d;
}
/// A lane gives column lane / 4 of the right operand, at the place of lane % 4, and is left columns 2 (lane % 4) and the next. Columns 0
/// to 3 are the planes of the first two lanes of four, columns 4 to 7 those of the other two.
struct ByteOperand {
  const metal::uint4* own;  // null: zeros
  metal::int4 start;
};
using ByteFragment = metal::uint4;
LATTICE_MSL_INLINE ByteOperand make_pair_operand(const metal::uint4* planes, unsigned count, unsigned stride, const metal::uint4* zeros,
                                                  unsigned lane) {
  const unsigned plane = lane / 4 % 4;
  return {lane / 16 == lane % 4 / 2 && plane < count ? planes + plane * stride : zeros, sum_start()};
}
LATTICE_MSL_INLINE ByteFragment pair_fragment(const ByteOperand& operand, unsigned i) { return operand.own[i]; }
LATTICE_MSL_INLINE ByteFragment pair_fragment_or_zeros(const ByteOperand& operand, unsigned i, bool is_there) {
  ByteFragment out = {0, 0, 0, 0};
  if (is_there && operand.own != nullptr) out = operand.own[i];
  return out;
}
LATTICE_MSL_INLINE metal::float4 pair_sums(const metal::uint4& first, const metal::uint4& last, const ByteFragment& own, const ByteOperand& operand) {
  metal::int4 sums = mma_bytes(operand.start, first[0], first[1], first[2], first[3], own[0], own[1]);
  sums = mma_bytes(sums, last[0], last[1], last[2], last[3], own[2], own[3]);
  return {__int_as_float(sums[0]), __int_as_float(sums[1]), __int_as_float(sums[2]), __int_as_float(sums[3])};
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
