// Not Metal's: hints that a device may follow and that change no result. src/gpu/kernels/hints.h has them for Apple's
// compiler, where they are nothing.
#pragma once

#include "simd.h"

namespace lattice_msl::metal {

LATTICE_MSL_INLINE void lattice_wait_for_inputs() { target::wait_for_inputs(); }
#ifdef LATTICE_MSL_WHOLE_SIMDGROUPS
LATTICE_MSL_INLINE float lattice_simd_sum(float x) { return target::whole_simd_sum(x); }
LATTICE_MSL_INLINE float lattice_simd_shuffle_xor(float x, ushort mask) { return target::whole_simd_shuffle_xor(x, mask); }
#else
LATTICE_MSL_INLINE float lattice_simd_sum(float x LATTICE_MSL_SITE) { return simd_sum(x LATTICE_MSL_AT); }
LATTICE_MSL_INLINE float lattice_simd_shuffle_xor(float x, ushort mask LATTICE_MSL_SITE) {
  return simd_shuffle_xor(x, mask LATTICE_MSL_AT);
}
#endif
LATTICE_MSL_INLINE void lattice_allow_next() { target::allow_next(); }
template <class T> LATTICE_MSL_INLINE T lattice_load_streamed(const T* from) { return target::load_streamed(from); }
LATTICE_MSL_INLINE float lattice_fraction(uint bytes, uint i) { return target::fraction(bytes, i); }
LATTICE_MSL_INLINE void lattice_prefetch(const void* from, uint bytes) { target::prefetch(from, bytes); }

}  // namespace lattice_msl::metal
