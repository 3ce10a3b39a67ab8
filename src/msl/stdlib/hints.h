// Not Metal's: hints that a device may follow and that change no result. src/gpu/kernels/hints.h has them for Apple's
// compiler, where they are nothing.
#pragma once

#include "simd.h"

namespace lattice_msl::metal {

LATTICE_MSL_INLINE void lattice_wait_for_inputs() { target::wait_for_inputs(); }
#ifdef LATTICE_MSL_WHOLE_SIMDGROUPS
LATTICE_MSL_INLINE float lattice_simd_sum(float x) { return target::whole_simd_sum(x); }
template <class T> LATTICE_MSL_INLINE T lattice_simd_shuffle_xor(T x, ushort mask) { return target::from_xor_lane(x, mask); }
#else
LATTICE_MSL_INLINE float lattice_simd_sum(float x LATTICE_MSL_SITE) { return simd_sum(x LATTICE_MSL_AT); }
template <class T> LATTICE_MSL_INLINE T lattice_simd_shuffle_xor(T x, ushort mask LATTICE_MSL_SITE) {
  return simd_shuffle_xor(x, mask LATTICE_MSL_AT);
}
#endif
LATTICE_MSL_INLINE void lattice_allow_next() { target::allow_next(); }
template <class T> LATTICE_MSL_INLINE T lattice_load_streamed(const T* from) { return target::load_streamed(from); }
LATTICE_MSL_INLINE float lattice_fraction(uint bytes, uint i) { return target::fraction(bytes, i); }
using lattice_byte_operand = target::ByteOperand;
LATTICE_MSL_INLINE lattice_byte_operand lattice_make_pair_operand(const uint4* planes, uint stride, const uint4* zeros, uint lane) {
  return target::make_pair_operand(planes, stride, zeros, lane);
}
LATTICE_MSL_INLINE float lattice_pair_factor(uint lane) { return target::pair_factor(lane); }
LATTICE_MSL_INLINE float2 lattice_pair_dots(uint4 first, uint4 last, const lattice_byte_operand& operand, uint i) {
  return target::pair_dots(first, last, operand, i);
}
LATTICE_MSL_INLINE void lattice_prefetch(const void* from, uint bytes) { target::prefetch(from, bytes); }

}  // namespace lattice_msl::metal
