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
struct lattice_byte_sums {
  int4 upper;
  int4 low;
};
LATTICE_MSL_INLINE lattice_byte_operand lattice_make_byte_operand(const uint4* x, const uint4* y, const uint4* z, const uint4* zeros,
                                                                  uint lane) {
  return target::make_byte_operand(x, y, z, zeros, lane);
}
LATTICE_MSL_INLINE void lattice_byte_dots(lattice_byte_sums& sums, uint4 a, uint4 b, lattice_byte_operand operand, uint i) {
  target::byte_dots(sums.upper, sums.low, a, b, operand, i);
}
LATTICE_MSL_INLINE uint lattice_mask_flip(uint x, uint mask, uint flip) { return target::mask_flip(x, mask, flip); }
LATTICE_MSL_INLINE void lattice_prefetch(const void* from, uint bytes) { target::prefetch(from, bytes); }

}  // namespace lattice_msl::metal
