#pragma once

// A vector as planes of bytes, which gemv_bytes.metal multiplies.
//
// 32 neighbouring columns become integers by the exponent of the largest, and each integer digits with signs,
// 256 to a digit. A plane has the digits of one place, high ones first:
//
//   BYTES    x = 2^e (65536 high + 256 middle + low): 23 bits
//   NIBBLES  27 bits, in four planes, as FormatQ4_0::bytes() multiplies them: in a group of 16 columns first
//   x_h of the
//            odd ones, then 16 x_l − x_h, of the even ones and their neighbours
//
// For every group of 16 columns there are the scale 2^e, and −2^e times what a lane's sum of two planes
// starts from.
//
// Whoever makes a vector that is only multiplied leaves it like this in device memory, in the place of
// floats: of one group after the other 16 bytes of each plane, with room for four, so that what a product
// asks for together lies in one line; and behind `cols` such columns the groups' scales and starts. `cols` is
// a multiple of 32. What an RMSNorm comes before lies there times the norm's weight, and behind the starts is
// Σ x² of each 32 columns without it.

#include <metal_stdlib>

#include "hints.h"
#include "kernel_args.h"

using namespace metal;

namespace lattice_gpu {

constant constexpr uint kGroupCols = 16;            // of 16 bytes in a plane
constant constexpr uint kGroupVectors = 4;          // of 16 bytes, in device memory
constant constexpr float kPlaneShare = 1.0f / 256;  // of a plane in the one before
constant constexpr uint kSmallestExponent = 34;     // biased: 2^e, its 256th and its inverse are floats
constant constexpr uint kLargestExponent = 254;

/// Bits of the integers. 22 and a sign are what a float can be rounded to by an addition; where a block's
/// offset is taken off a sum, that is too coarse by half.
constexpr uint integer_bits(bool nibbles) {
  return nibbles ? 26 : 22;
}

/// The biased exponent of floats of which the largest has these bits.
inline uint shared_exponent(uint largest) {
  return clamp(largest >> 23, kSmallestExponent, kLargestExponent);
}

/// What makes integers of them.
inline float to_integers(bool nibbles, uint largest) {
  return as_type<float>((253u + integer_bits(nibbles) - shared_exponent(largest)) << 23);
}

/// The integer of x, as its two's complement. Of 22 bits the nearest: a float's last bits after
/// LATTICE_SUM_START is added.
inline uint integer_of(bool nibbles, float x, float factor) {
  if (nibbles) return as_type<uint>(int(x * factor));
  return as_type<uint>(fma(x, factor, LATTICE_SUM_START)) - as_type<uint>(LATTICE_SUM_START);
}

/// Digits of a byte with a sign each: those of n + 0x80808080, less 0x80.
inline uint byte_digits(uint n) {
  return (n + 0x80808080u) ^ 0x80808080u;
}

/// What the sum of two planes starts from in the lanes that read a group, in units of the first of the two.
/// Nibbles below are q rather than q − 8: 16 · 8 Σ x_l too much, with `evens` = Σ x_l of the block as
/// integers. Of that, lanes with planes 0 and 1 take the multiple of 2^24, and those with 2 and 3 what is
/// left.
inline float sum_start(bool nibbles, int evens, bool odd_group) {
  constexpr float kBoth = LATTICE_SUM_START + LATTICE_SUM_START * kPlaneShare;
  if (!nibbles) return kBoth;
  const int upper = (evens + 65536) >> 17;
  return kBoth + (odd_group ? float(evens - (upper << 17)) * 0.5f : float(upper));
}

/// A group's scale and start. Infinity and what is no number make no number of all that they meet.
inline float2 scale_and_start(bool nibbles, uint largest, int evens, bool odd_group) {
  const bool is_number = largest >> 23 <= kLargestExponent;
  const uint exponent = shared_exponent(largest) + 1u - integer_bits(nibbles);
  const float scale = as_type<float>(is_number ? exponent << 23 : 0x7fc00000u);
  return float2(scale, -scale * sum_start(nibbles, evens, odd_group));
}

/// Leaves the digits of 32 columns of a vector in planes, BYTES or NIBBLES: lane l has x of `column`, which
/// is l more than a multiple of 32. For all lanes of a simdgroup. Returns the scale and start of the lane's
/// group.
inline float2 store_digits(uint planes, float x, uint column, device float* out) {
  const bool nibbles = planes == LATTICE_PLANES_NIBBLES;
  const uint group = column / kGroupCols;
  device uchar* bytes = reinterpret_cast<device uchar*>(out) + group * (kGroupVectors * kGroupCols);
  const uint largest = lattice_simd_max(as_type<uint>(x) & 0x7fffffffu);
  const uint n = integer_of(nibbles, x, to_integers(nibbles, largest));
  int evens = 0;
  if (nibbles) {
    const bool is_odd = column % 2 != 0;
    const uint odd = lattice_simd_shuffle_xor(n, 1);
    evens = lattice_simd_sum(is_odd ? 0 : as_type<int>(n));
    const uint digits = byte_digits(is_odd ? n : 16 * n - odd);
    const uint place = (is_odd ? 0 : 8) + column % kGroupCols / 2;
#pragma unroll
    for (uint p = 0; p < 4; ++p) bytes[p * kGroupCols + place] = uchar(digits >> (8 * (3 - p)));
  } else {
    const uint digits = byte_digits(n);
#pragma unroll
    for (uint p = 0; p < 3; ++p) bytes[p * kGroupCols + column % kGroupCols] = uchar(digits >> (8 * (2 - p)));
  }
  return scale_and_start(nibbles, largest, evens, group % 2 != 0);
}

constant constexpr uint kMostTogether = 4;

/// Leaves x[n] of columns `column` + n · `stride` in planes, as store_digits() wants them: `count` of them,
/// so that what one waits for stands beside the other's.
inline void store_planes(uint planes, thread const float* x, uint count, uint column, uint stride, uint cols,
                         device float* out) {
  float2 scales[kMostTogether];
#pragma unroll
  for (uint n = 0; n < count; ++n) scales[n] = store_digits(planes, x[n], column + n * stride, out);
  device float2* groups = reinterpret_cast<device float2*>(out + cols);
#pragma unroll
  for (uint n = 0; n < count; ++n) {
    if (column % kGroupCols == 0) groups[(column + n * stride) / kGroupCols] = scales[n];
  }
}

/// Where Σ x² of 32 columns each stand behind planes.
template <typename Pointer>
inline Pointer plane_squares(Pointer planes, uint cols) {
  return planes + cols + cols / 8;
}

/// A column of a vector's norm but for its factor, likewise: x has no weight yet.
inline void store_normed_planes(uint planes, float x, float weight, uint column, uint cols,
                                device float* out) {
  const float squares = lattice_simd_sum(x * x);  // first, so that it stands beside the largest
  const float weighted = x * weight;
  store_planes(planes, &weighted, 1, column, 0, cols, out);
  if (column % 32 == 0) plane_squares(out, cols)[column / 32] = squares;
}

/// What a kernel has computed for a vector: into planes, or as it is.
inline void store_values(uint planes, thread const float* x, uint count, uint column, uint stride, uint cols,
                         device float* out) {
  if (planes != LATTICE_PLANES_NONE) return store_planes(planes, x, count, column, stride, cols, out);
#pragma unroll
  for (uint n = 0; n < count; ++n) out[column + n * stride] = x[n];
}
inline void store_output(uint planes, float x, uint column, uint cols, device float* out) {
  store_values(planes, &x, 1, column, 0, cols, out);
}

}  // namespace lattice_gpu
