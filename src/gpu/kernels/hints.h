#pragma once

#include <metal_stdlib>

using namespace metal;

// Hints to the device, which change no result. On CUDA a dispatch may start while the one before it still
// runs:
//
//   lattice_allow_next()         the next dispatch may start
//   lattice_wait_for_inputs()    returns when the dispatches before are done and what they wrote can be seen
//   lattice_load_streamed(p)     *p, of 16 bytes, which nobody reads again soon
//   lattice_arrived(x)           x, a float, for all 32 lanes: loaded when this is reached. What is used
//                                behind a barrier alone, compilers ask for just before it
//   lattice_prefetch(p, bytes)   *p is wanted soon; a multiple of 16 bytes at a multiple of 16
//   lattice_fraction(bytes, i)   1/2 + n/256, with n byte i of four, below 128
//   lattice_byte_pair(a, b, i)   byte i of four of a, and of b above it
//   lattice_simd_sum(x)          simd_sum(x), where all 32 lanes take part; likewise lattice_simd_max(x),
//   lattice_simd_shuffle(x, lane) and lattice_simd_shuffle_xor(x, mask)
//   lattice_multiply_halves(a, b, sums, lane)
//       sums + a · b, of a simdgroup's matrices of 16 × 16 and 16 × 8 halves, as PTX's mma.m16n8k16 lays them
//       out. With g = l / 4 and c = l % 4, lane l has of a rows g and g + 8, in turn, of columns 2c and 2c +
//       1, then of 2c + 8 and 2c + 9; of b's column g these four rows; and of the sums columns 2c and 2c + 1
//       of row g, then of g + 8
//   lattice_pair_sums(first, last, fragment, operand)
//       a·p, a·q, b·p, b·q for words a0 b0 a1 b1 and a2 b2 a3 b3 of 16 signed bytes each, where p and q are
//       vectors i of planes 0 and 1 in even lanes and of planes 2 and 3 in odd ones: each the sum of this
//       lane's product and of its neighbour's (2n and 2n + 1), with the neighbour's words and i. They come as
//       floats, LATTICE_SUM_START more than they are, and are below 2^22. For
//   lattice_make_pair_operand(planes, count, stride, zeros, lane)
//       of up to four planes in threadgroup memory, `stride` apart; what is missing is zero. zeros has zeros
//       at each i. Without them, of planes in device memory. And for
//   lattice_pair_fragment(operand, i)
//       what a lane brings of vectors i, for which lanes of equal lane % 4 ask together; of device memory
//       with a third argument, false for zeros
//
// On CUDA a simdgroup makes these sums in tensor cores, as products of 16 rows (a and b of lanes 4i to
// 4i + 3, side by side) and 8 columns: the planes of lanes 0 and 1, with zeros at the others' places, and
// those of lanes 2 and 3. Each lane is left two columns of two rows.
//
// A kernel that calls lattice_wait_for_inputs() calls it in every thread, before it writes anything and
// before it reads what a dispatch of the same Commands has written; weights and what earlier submissions left
// may be read before. One that never calls it starts when the dispatches before it are done.

/// 1.5 · 2^23, of which a float's last bits are those of an integer that is added.
#define LATTICE_SUM_START 12582912.0f

#ifndef __LATTICE_MSL__  // Apple's compiler: dispatches are ordered by the barriers between them
inline void lattice_wait_for_inputs() {}
inline void lattice_allow_next() {}
template <typename T>
inline T lattice_load_streamed(device const T* from) {
  return *from;
}
inline float lattice_arrived(float x) {
  return x;
}
inline void lattice_prefetch(device const void*, uint) {}
inline float lattice_fraction(uint bytes, uint i) {
  return as_type<float>(((bytes >> (8 * i)) & 0xffu) << 16 | 0x3f000000u);
}
inline ushort lattice_byte_pair(uint a, uint b, uint i) {
  return ushort((a >> (8 * i) & 0xffu) | (b >> (8 * i) & 0xffu) << 8);
}
inline float lattice_simd_sum(float x) {
  return simd_sum(x);
}
inline int lattice_simd_sum(int x) {
  return simd_sum(x);
}
inline uint lattice_simd_max(uint x) {
  return simd_max(x);
}
inline float lattice_simd_shuffle_xor(float x, ushort mask) {
  return as_type<float>(simd_shuffle_xor(as_type<int>(x), mask));  // which the specification has for integers
}
inline uint lattice_simd_shuffle_xor(uint x, ushort mask) {
  return simd_shuffle_xor(x, mask);
}
inline float lattice_simd_shuffle(float x, ushort lane) {
  return as_type<float>(simd_shuffle(as_type<int>(x), lane));
}
inline float4 lattice_multiply_halves(uint4 a, uint2 b, float4 sums, uint lane) {
  for (ushort c = 0; c < 4; ++c) {
    const uint4 left = simd_shuffle(a, ushort(lane / 4 * 4 + c));
    for (ushort n = 0; n < 2; ++n) {
      const uint2 right = simd_shuffle(b, ushort((lane % 4 * 2 + n) * 4 + c));
      for (ushort k = 0; k < 2; ++k) {
        const float2 x = float2(as_type<half2>(right[k]));
        sums[n] += dot(float2(as_type<half2>(left[2 * k])), x);
        sums[2 + n] += dot(float2(as_type<half2>(left[2 * k + 1])), x);
      }
    }
  }
  return sums;
}
template <typename Pointer>
struct lattice_pair_operand {
  Pointer planes;
  uint count;
  uint stride;
  bool odd;
};
using lattice_byte_operand = lattice_pair_operand<threadgroup const uint4*>;
using lattice_device_byte_operand = lattice_pair_operand<device const uint4*>;
inline lattice_byte_operand lattice_make_pair_operand(threadgroup const uint4* planes, uint count,
                                                      uint stride, threadgroup const uint4*, uint lane) {
  return {planes, count, stride, lane % 2 != 0};
}
inline lattice_device_byte_operand lattice_make_pair_operand(device const uint4* planes, uint count,
                                                             uint stride, uint lane) {
  return {planes, count, stride, lane % 2 != 0};
}
struct lattice_byte_fragment {
  uint i;
  bool is_there;
};
template <typename Operand>
inline lattice_byte_fragment lattice_pair_fragment(thread const Operand&, uint i, bool is_there = true) {
  return {i, is_there};
}
inline int lattice_byte_dot(uint4 a, uint4 b) {
  int sum = 0;
  for (uint i = 0; i < 4; ++i) {
    const int4 products = int4(as_type<char4>(a[i])) * int4(as_type<char4>(b[i]));
    sum += products.x + products.y + products.z + products.w;
  }
  return sum;
}
/// A lane's own products with planes `first` and the next.
template <typename Operand>
inline int4 lattice_own_sums(uint4 a, uint4 b, thread const Operand& x, uint first,
                             lattice_byte_fragment at) {
  int4 out = 0;
  for (uint p = 0; p < 2 && first + p < x.count && at.is_there; ++p) {
    const uint4 plane = x.planes[(first + p) * x.stride + at.i];
    out[p] = lattice_byte_dot(a, plane);
    out[2 + p] = lattice_byte_dot(b, plane);
  }
  return out;
}
template <typename Operand>
inline float4 lattice_pair_sums(uint4 first, uint4 last, lattice_byte_fragment at, thread const Operand& x) {
  const uint4 a = uint4(first.xz, last.xz);
  const uint4 b = uint4(first.yw, last.yw);
  const int4 own = lattice_own_sums(a, b, x, x.odd ? 2 : 0, at);
  const int4 neighbours = lattice_own_sums(a, b, x, x.odd ? 0 : 2, at);
  return float4(own + simd_shuffle_xor(neighbours, 1)) + LATTICE_SUM_START;
}
#endif
