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
//   lattice_mask_flip(x, m, f)   (x & m) ^ f, in one instruction
//   lattice_simd_sum(x)          simd_sum(x), where all 32 lanes take part; likewise
//   lattice_simd_shuffle_xor(x, mask)
//   lattice_byte_dots(sums, a, b, operand, i)
//       adds a·x[i], a·y[i], b·x[i], b·y[i] over 16 signed bytes each to sums.upper, a·z[i] and b·z[i] to
//       sums.low.xz, for
//   lattice_make_byte_operand(x, y, z, zeros, lane)
//       where lanes of equal lane % 4 ask for the same i, and zeros has zeros at each i
//
// lattice_byte_dots() is written as what a lane computes, for itself alone. On CUDA a simdgroup does it in
// tensor cores, as a product of 16 rows (a and b of lanes 4i to 4i + 3, side by side) and 8 columns (x and y
// of lanes 0 to 3, each with zeros but at its own lane's place), of which each lane gets just its own four
// sums.
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
inline uint lattice_mask_flip(uint x, uint mask, uint flip) {
  return (x & mask) ^ flip;
}
inline float lattice_simd_sum(float x) {
  return simd_sum(x);
}
inline float lattice_simd_shuffle_xor(float x, ushort mask) {
  return as_type<float>(simd_shuffle_xor(as_type<int>(x), mask));  // which the specification has for integers
}
inline uint lattice_simd_shuffle_xor(uint x, ushort mask) {
  return simd_shuffle_xor(x, mask);
}
struct lattice_byte_operand {
  threadgroup const uint4* planes[3];
};
struct lattice_byte_sums {
  int4 upper;
  int4 low;
};
inline lattice_byte_operand lattice_make_byte_operand(threadgroup const uint4* x, threadgroup const uint4* y,
                                                      threadgroup const uint4* z, threadgroup const uint4*,
                                                      uint) {
  return {{x, y, z}};
}
inline int lattice_byte_dot(uint4 a, uint4 b) {
  int sum = 0;
  for (uint i = 0; i < 4; ++i) {
    const int4 products = int4(as_type<char4>(a[i])) * int4(as_type<char4>(b[i]));
    sum += products.x + products.y + products.z + products.w;
  }
  return sum;
}
inline void lattice_byte_dots(thread lattice_byte_sums& sums, uint4 a, uint4 b, lattice_byte_operand operand,
                              uint at) {
  const uint4 x = operand.planes[0][at];
  const uint4 y = operand.planes[1][at];
  const uint4 z = operand.planes[2][at];
  sums.upper +=
      int4(lattice_byte_dot(a, x), lattice_byte_dot(a, y), lattice_byte_dot(b, x), lattice_byte_dot(b, y));
  sums.low += int4(lattice_byte_dot(a, z), 0, lattice_byte_dot(b, z), 0);
}
#endif
