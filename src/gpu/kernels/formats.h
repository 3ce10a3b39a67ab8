#pragma once

#include <metal_stdlib>

#include "hints.h"

using namespace metal;

// Weight formats as the device keeps them: a row's quants lie together, in chunks of 16 bytes that one lane
// loads at once; its scales stand in an array of their own. A format tells how many columns a chunk holds and
// how to multiply them. Rows are padded with zeros to whole chunks, and so are the vectors that meet them.
//
//   kCols                    columns of a chunk
//   load(quants, scales, c)  chunk c of a row, with its scale: read once a token, and so as streamed
//   dot(chunk, x)            Σ w·x over the chunk
//   unpack(chunk, out)       the chunk's weights
//
// Small integers become floats without a conversion, which NVIDIA's processors do at an eighth of the pace of
// arithmetic: with bits p … of a word left in place and the exponent of 2^(23 − p) put above them, the word is the float
// 2^(23 − p) + n, and one exact subtraction takes the offset off. That holds as long as n ends below bit 23.

namespace lattice_gpu {

/// A chunk in registers, as it was loaded.
struct Chunk {
  uint4 bits;
  half scale;
};

/// The bits of `word` under `mask`, which begins at bit 23 − log2(offset), as a number: xor `flip`, less `less`.
inline float place(uint word, uint mask, uint flip, float offset, float less) {
  return as_type<float>((word & mask) ^ (as_type<uint>(offset) | flip)) - (offset + less);
}
/// The signed bytes of a word.
inline float4 signed_bytes(uint word) {
  const uint high = word >> 16;
  return float4(place(word, 0xffu, 0x80u, 0x1p23f, 128.0f), place(word, 0xff00u, 0x8000u, 0x1p15f, 128.0f),
                place(high, 0xffu, 0x80u, 0x1p23f, 128.0f), place(high, 0xff00u, 0x8000u, 0x1p15f, 128.0f));
}
/// The low and the high nibbles of a word's bytes, less 8.
inline float4 low_nibbles(uint word) {
  const uint high = word >> 16;
  return float4(place(word, 0xfu, 0u, 0x1p23f, 8.0f), place(word, 0xf00u, 0u, 0x1p15f, 8.0f),
                place(high, 0xfu, 0u, 0x1p23f, 8.0f), place(high, 0xf00u, 0u, 0x1p15f, 8.0f));
}
inline float4 high_nibbles(uint word) {
  const uint high = word >> 16;
  return float4(place(word, 0xf0u, 0u, 0x1p19f, 8.0f), place(word, 0xf000u, 0u, 0x1p11f, 8.0f),
                place(high, 0xf0u, 0u, 0x1p19f, 8.0f), place(high, 0xf000u, 0u, 0x1p11f, 8.0f));
}
/// a·x[0 … 4) + sum
inline float add_products(float4 a, thread const float* x, float sum) {
  return fma(a.w, x[3], fma(a.z, x[2], fma(a.y, x[1], fma(a.x, x[0], sum))));
}

struct FormatF32 {
  static constant constexpr const uint kCols = 4;

  static Chunk load(device const uint4* quants, device const half*, uint c) { return {lattice_load_streamed(quants + c), half(1.0f)}; }
  static void unpack(Chunk chunk, thread float* out) {
    const float4 w = as_type<float4>(chunk.bits);
#pragma unroll
    for (uint i = 0; i < 4; ++i) out[i] = w[i];
  }
  static float dot(Chunk chunk, thread const float* x) {
    const float4 w = as_type<float4>(chunk.bits);
    return w.x * x[0] + w.y * x[1] + w.z * x[2] + w.w * x[3];
  }
};

struct FormatF16 {
  static constant constexpr const uint kCols = 8;

  static Chunk load(device const uint4* quants, device const half*, uint c) { return {lattice_load_streamed(quants + c), half(1.0f)}; }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const half2 w = as_type<half2>(chunk.bits[i]);
      out[2 * i] = float(w.x);
      out[2 * i + 1] = float(w.y);
    }
  }
  static float dot(Chunk chunk, thread const float* x) {
    float sum = 0;
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const half2 w = as_type<half2>(chunk.bits[i]);
      sum += float(w.x) * x[2 * i] + float(w.y) * x[2 * i + 1];
    }
    return sum;
  }
};

/// bfloat16 is the upper half of a float: no type of that name is needed, which older Macs' compilers lack.
struct FormatBF16 {
  static constant constexpr const uint kCols = 8;

  static Chunk load(device const uint4* quants, device const half*, uint c) { return {lattice_load_streamed(quants + c), half(1.0f)}; }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      out[2 * i] = as_type<float>(chunk.bits[i] << 16);
      out[2 * i + 1] = as_type<float>(chunk.bits[i] & 0xffff0000u);
    }
  }
  static float dot(Chunk chunk, thread const float* x) {
    float sum = 0;
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      sum += as_type<float>(chunk.bits[i] << 16) * x[2 * i];
      sum += as_type<float>(chunk.bits[i] & 0xffff0000u) * x[2 * i + 1];
    }
    return sum;
  }
};

/// ggml's Q8_0, its 32 bytes in two chunks: w = scale · q.
struct FormatQ8_0 {
  static constant constexpr const uint kCols = 16;

  static Chunk load(device const uint4* quants, device const half* scales, uint c) {
    return {lattice_load_streamed(quants + c), scales[c / 2]};
  }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const float4 q = signed_bytes(chunk.bits[i]);
#pragma unroll
      for (uint j = 0; j < 4; ++j) out[4 * i + j] = float(chunk.scale) * q[j];
    }
  }
  static float dot(Chunk chunk, thread const float* x) {
    float sum = 0;
#pragma unroll
    for (uint i = 0; i < 4; ++i) sum = add_products(signed_bytes(chunk.bits[i]), x + 4 * i, sum);
    return float(chunk.scale) * sum;
  }
};

/// ggml's Q4_0, one block a chunk: w = scale · (q − 8), byte j with element j in its low nibble and j + 16 in
/// its high one.
struct FormatQ4_0 {
  static constant constexpr const uint kCols = 32;

  static Chunk load(device const uint4* quants, device const half* scales, uint c) {
    return {lattice_load_streamed(quants + c), scales[c]};
  }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const float4 low = low_nibbles(chunk.bits[i]);
      const float4 high = high_nibbles(chunk.bits[i]);
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        out[4 * i + j] = float(chunk.scale) * low[j];
        out[16 + 4 * i + j] = float(chunk.scale) * high[j];
      }
    }
  }
  static float dot(Chunk chunk, thread const float* x) {
    float sum = 0;
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      sum = add_products(low_nibbles(chunk.bits[i]), x + 4 * i, sum);
      sum = add_products(high_nibbles(chunk.bits[i]), x + 16 + 4 * i, sum);
    }
    return float(chunk.scale) * sum;
  }
};

}  // namespace lattice_gpu
