// Not Metal's: hints that a device may follow and that change no result. src/gpu/kernels/hints.h has them for Apple's
// compiler, where they are nothing.
#pragma once

#include "vec.h"

namespace lattice_msl::metal {

LATTICE_MSL_INLINE void lattice_wait_for_inputs() { target::wait_for_inputs(); }
LATTICE_MSL_INLINE void lattice_allow_next() { target::allow_next(); }
template <class T> LATTICE_MSL_INLINE T lattice_load_streamed(const T* from) { return target::load_streamed(from); }
LATTICE_MSL_INLINE void lattice_prefetch(const void* from, uint bytes) { target::prefetch(from, bytes); }

}  // namespace lattice_msl::metal
