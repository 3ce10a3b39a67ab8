#pragma once

#include <metal_stdlib>

using namespace metal;

// Hints to the device, which change no result. On CUDA a dispatch may start while the one before it still
// runs:
//
//   lattice_allow_next()         the next dispatch may start
//   lattice_wait_for_inputs()    returns when the dispatches before are done and what they wrote can be seen
//   lattice_load_streamed(p)     *p, of 16 bytes, which nobody reads again soon
//   lattice_prefetch(p, bytes)   *p is wanted soon; a multiple of 16 bytes at a multiple of 16
//   lattice_fraction(bytes, i)   1/2 + n/256, with n byte i of four, below 128
//   lattice_simd_sum(x)          simd_sum(x), where all 32 lanes take part; likewise
//   lattice_simd_shuffle_xor(x, mask)
//
// A kernel that calls lattice_wait_for_inputs() calls it in every thread, before it writes anything and
// before it reads what a dispatch of the same Commands has written; weights and what earlier submissions left
// may be read before. One that never calls it starts when the dispatches before it are done.

#ifndef __LATTICE_MSL__  // Apple's compiler: dispatches are ordered by the barriers between them
inline void lattice_wait_for_inputs() {}
inline void lattice_allow_next() {}
template <typename T>
inline T lattice_load_streamed(device const T* from) {
  return *from;
}
inline void lattice_prefetch(device const void*, uint) {}
inline float lattice_fraction(uint bytes, uint i) {
  return as_type<float>(((bytes >> (8 * i)) & 0xffu) << 16 | 0x3f000000u);
}
inline float lattice_simd_sum(float x) {
  return simd_sum(x);
}
inline float lattice_simd_shuffle_xor(float x, ushort mask) {
  return as_type<float>(simd_shuffle_xor(as_type<int>(x), mask));  // which the specification has for integers
}
#endif
