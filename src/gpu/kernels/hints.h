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
//   lattice_pair_dots(first, last, operand, i)
//       of 65536 a·x[i] + 256 a·y[i] + a·z[i], and the same of b, a lane's share, for words a0 b0 a1 b1 and
//       a2 b2 a3 b3 of 16 signed bytes each and i of this lane's. What two neighbouring lanes (2n and 2n + 1)
//       get, times
//   lattice_pair_factor(lane)
//       comes to the sum of both lanes' products: one lane's share by itself says nothing. For
//   lattice_make_pair_operand(planes, stride, zeros, lane)
//       where x is planes, y is planes + stride, z follows y, zeros has zeros at each i, and lanes of equal
//       lane % 4 ask for the same i
//
// lattice_pair_dots() is written as what a lane computes for itself alone. On CUDA a simdgroup does it in
// tensor cores, as products of 16 rows (a and b of lanes 4i to 4i + 3, side by side) and 8 columns: x, y and
// z of lanes 0 and 1, with zeros at the others' places, and those of lanes 2 and 3. Each lane is left two
// columns of two rows.
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
inline uint lattice_simd_shuffle_xor(uint x, ushort mask) {
  return simd_shuffle_xor(x, mask);
}
struct lattice_byte_operand {
  threadgroup const uint4* planes[3];
};
inline lattice_byte_operand lattice_make_pair_operand(threadgroup const uint4* planes, uint stride,
                                                      threadgroup const uint4*, uint) {
  return {{planes, planes + stride, planes + 2 * stride}};
}
inline int lattice_byte_dot(uint4 a, uint4 b) {
  int sum = 0;
  for (uint i = 0; i < 4; ++i) {
    const int4 products = int4(as_type<char4>(a[i])) * int4(as_type<char4>(b[i]));
    sum += products.x + products.y + products.z + products.w;
  }
  return sum;
}
inline float lattice_digits_value(uint4 a, lattice_byte_operand operand, uint i) {
  const int upper =
      lattice_byte_dot(a, operand.planes[0][i]) * 256 + lattice_byte_dot(a, operand.planes[1][i]);
  return fma(float(upper), 256.0f, float(lattice_byte_dot(a, operand.planes[2][i])));
}
inline float lattice_pair_factor(uint) {
  return 1;
}
inline float2 lattice_pair_dots(uint4 first, uint4 last, thread const lattice_byte_operand& operand, uint i) {
  return float2(lattice_digits_value(uint4(first.xz, last.xz), operand, i),
                lattice_digits_value(uint4(first.yw, last.yw), operand, i));
}
#endif
