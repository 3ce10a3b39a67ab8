// Not Metal's: hints that a device may follow and that change no result. src/gpu/kernels/hints.h has them for Apple's
// compiler, where they are nothing.
#pragma once

#include "simd.h"

namespace lattice_msl::metal {

LATTICE_MSL_INLINE void lattice_wait_for_inputs() { target::wait_for_inputs(); }
#ifdef LATTICE_MSL_WHOLE_SIMDGROUPS
LATTICE_MSL_INLINE float lattice_simd_sum(float x) { return target::whole_simd_sum(x); }
LATTICE_MSL_INLINE int lattice_simd_sum(int x) { return target::whole_simd_sum(x); }
LATTICE_MSL_INLINE uint lattice_simd_max(uint x) { return target::whole_simd_max(x); }
template <class T> LATTICE_MSL_INLINE T lattice_simd_shuffle_xor(T x, ushort mask) { return target::from_xor_lane(x, mask); }
template <class T> LATTICE_MSL_INLINE T lattice_simd_shuffle(T x, ushort lane) { return target::from_lane(0xffffffffu, x, lane); }
LATTICE_MSL_INLINE float4 lattice_multiply_halves(uint4 a, uint2 b, float4 sums, uint) { return target::mma_halves(a, b, sums); }
#else
LATTICE_MSL_INLINE float lattice_simd_sum(float x LATTICE_MSL_SITE) { return simd_sum(x LATTICE_MSL_AT); }
LATTICE_MSL_INLINE int lattice_simd_sum(int x LATTICE_MSL_SITE) { return simd_sum(x LATTICE_MSL_AT); }
LATTICE_MSL_INLINE uint lattice_simd_max(uint x LATTICE_MSL_SITE) { return simd_max(x LATTICE_MSL_AT); }
template <class T> LATTICE_MSL_INLINE T lattice_simd_shuffle_xor(T x, ushort mask LATTICE_MSL_SITE) {
  return simd_shuffle_xor(x, mask LATTICE_MSL_AT);
}
template <class T> LATTICE_MSL_INLINE T lattice_simd_shuffle(T x, ushort lane LATTICE_MSL_SITE) { return simd_shuffle(x, lane LATTICE_MSL_AT); }
LATTICE_MSL_INLINE float4 lattice_multiply_halves(uint4 a, uint2 b, float4 sums, uint lane LATTICE_MSL_SITE) {
  for (ushort c = 0; c < 4; ++c) {
    const uint4 left = simd_shuffle(a, ushort(lane / 4 * 4 + c) LATTICE_MSL_AT);
    for (ushort n = 0; n < 2; ++n) {
      const uint2 right = simd_shuffle(b, ushort((lane % 4 * 2 + n) * 4 + c) LATTICE_MSL_AT);
      for (ushort k = 0; k < 2; ++k) {
        const float2 x = float2(as_type<half2>(right[k]));
        sums[n] += dot(float2(as_type<half2>(left[2 * k])), x);
        sums[2 + n] += dot(float2(as_type<half2>(left[2 * k + 1])), x);
      }
    }
  }
  return sums;
}
#endif
LATTICE_MSL_INLINE void lattice_allow_next() { target::allow_next(); }
template <class T> LATTICE_MSL_INLINE T lattice_load_streamed(const T* from) { return target::load_streamed(from); }
LATTICE_MSL_INLINE float lattice_arrived(float x) { return target::arrived(x); }
LATTICE_MSL_INLINE float lattice_fraction(uint bytes, uint i) { return target::fraction(bytes, i); }
LATTICE_MSL_INLINE ushort lattice_byte_pair(uint a, uint b, uint i) { return target::byte_pair(a, b, i); }
using lattice_byte_operand = target::ByteOperand;
using lattice_device_byte_operand = target::ByteOperand;
using lattice_byte_fragment = target::ByteFragment;
LATTICE_MSL_INLINE lattice_byte_operand lattice_make_pair_operand(const uint4* planes, uint count, uint stride, const uint4* zeros,
                                                                  uint lane) {
  return target::make_pair_operand(planes, count, stride, zeros, lane);
}
LATTICE_MSL_INLINE lattice_byte_operand lattice_make_pair_operand(const uint4* planes, uint count, uint stride, uint lane) {
  return target::make_pair_operand(planes, count, stride, nullptr, lane);
}
LATTICE_MSL_INLINE lattice_byte_fragment lattice_pair_fragment(const lattice_byte_operand& operand, uint i) {
  return target::pair_fragment(operand, i);
}
LATTICE_MSL_INLINE lattice_byte_fragment lattice_pair_fragment(const lattice_byte_operand& operand, uint i, bool is_there) {
  return target::pair_fragment_or_zeros(operand, i, is_there);
}
#ifdef LATTICE_MSL_WHOLE_SIMDGROUPS
LATTICE_MSL_INLINE float4 lattice_pair_sums(uint4 first, uint4 last, const lattice_byte_fragment& x, const lattice_byte_operand& operand) {
  return target::pair_sums(first, last, x, operand);
}
#else
LATTICE_MSL_INLINE float4 lattice_pair_sums(uint4 first, uint4 last, const lattice_byte_fragment& x,
                                            const lattice_byte_operand& operand LATTICE_MSL_SITE) {
  const target::PairShares shares = target::pair_shares(first, last, operand, x);
  const int4 sums = shares.own + simd_shuffle_xor(shares.neighbours, ushort(1) LATTICE_MSL_AT);
  return float4(sums) + float4(12582912.0f);
}
#endif
LATTICE_MSL_INLINE void lattice_prefetch(const void* from, uint bytes) { target::prefetch(from, bytes); }

}  // namespace lattice_msl::metal
