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
//   kHasStart                whether dot() adds to start(Σ x), one for each half of the chunk
//   start(x_sum)             what it adds to: the same for the chunks of all rows
//   dot(chunk, x, start)     Σ w·x over the chunk
//   unpack(chunk, out)       the chunk's weights
//
//   kTileSteps               blocks that two neighbouring lanes share in a unit of a tile (tiles.h); 0 where
//   rows never
//                            lie in tiles
//
// What is made of integers besides, for gemv_bytes.metal:
//
//   kPlanes                  of bytes that an input is made of: 3 have what a float has
//   kNibbles                 whether a byte has the weights of two columns
//   bytes(first, last, step) of a unit's words, the operands of the two products of a step
//   kByteScale               what takes the sums of planes 2 and 3 back to the quants that scales belong to

namespace lattice_gpu {

/// A chunk in registers, as it was loaded.
struct Chunk {
  uint4 bits;
  half scale;
};

/// The weights of two products, which lattice_pair_sums() adds up.
struct BytePair {
  uint4 first;
  uint4 last;
};

/// a·x[0 … 4) + sum
inline float add_products(float4 a, thread const float* x, float sum) {
  return fma(a.w, x[3], fma(a.z, x[2], fma(a.y, x[1], fma(a.x, x[0], sum))));
}

/// What formats without scales have in common. Metal has no derived classes.
inline Chunk load_plain(device const uint4* quants, uint c) {
  return {lattice_load_streamed(quants + c), half(1.0f)};
}

struct FormatF32 {
  static constant constexpr const uint kCols = 4;
  static constant constexpr const uint kTileSteps = 0;
  static constant constexpr const bool kHasStart = false;

  static Chunk load(device const uint4* quants, device const half*, uint c) { return load_plain(quants, c); }
  static float start(float) { return 0; }
  static void unpack(Chunk chunk, thread float* out) {
    const float4 w = as_type<float4>(chunk.bits);
#pragma unroll
    for (uint i = 0; i < 4; ++i) out[i] = w[i];
  }
  static float dot(Chunk chunk, thread const float* x, float2) {
    const float4 w = as_type<float4>(chunk.bits);
    return w.x * x[0] + w.y * x[1] + w.z * x[2] + w.w * x[3];
  }
};

struct FormatF16 {
  static constant constexpr const uint kCols = 8;
  static constant constexpr const uint kTileSteps = 0;
  static constant constexpr const bool kHasStart = false;

  static Chunk load(device const uint4* quants, device const half*, uint c) { return load_plain(quants, c); }
  static float start(float) { return 0; }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const half2 w = as_type<half2>(chunk.bits[i]);
      out[2 * i] = float(w.x);
      out[2 * i + 1] = float(w.y);
    }
  }
  static float dot(Chunk chunk, thread const float* x, float2) {
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
  static constant constexpr const uint kTileSteps = 0;
  static constant constexpr const bool kHasStart = false;

  static Chunk load(device const uint4* quants, device const half*, uint c) { return load_plain(quants, c); }
  static float start(float) { return 0; }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      out[2 * i] = as_type<float>(chunk.bits[i] << 16);
      out[2 * i + 1] = as_type<float>(chunk.bits[i] & 0xffff0000u);
    }
  }
  static float dot(Chunk chunk, thread const float* x, float2) {
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
  static constant constexpr const uint kTileSteps = 1;
  static constant constexpr const bool kHasStart = false;
  static constant constexpr const uint kPlanes = 3;
  static constant constexpr const bool kNibbles = false;
  static constant constexpr const float kByteScale = 1.0f;

  static BytePair bytes(uint4 first, uint4 last, uint) { return {first, last}; }

  static Chunk load(device const uint4* quants, device const half* scales, uint c) {
    return {lattice_load_streamed(quants + c), scales[c / 2]};
  }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const float4 q = float4(as_type<char4>(chunk.bits[i]));
#pragma unroll
      for (uint j = 0; j < 4; ++j) out[4 * i + j] = float(chunk.scale) * q[j];
    }
  }
  static float start(float) {
    return 0;
  }
  static float dot(Chunk chunk, thread const float* x, float2) {
    float sums[2] = {};
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      sums[i % 2] = add_products(float4(as_type<char4>(chunk.bits[i])), x + 4 * i, sums[i % 2]);
    }
    return float(chunk.scale) * (sums[0] + sums[1]);
  }
};

/// ggml's Q4_0, one block a chunk: w = scale · (q − 8), byte j with element j in its low nibble and j + 16 in
/// its high one.
///
/// dot() makes a float of a nibble by placing its byte at the top of a fraction, where it is 1/2 + q/32. So
/// Σ (q − 8)·x = 32 · (Σ (1/2 + q/32)·x − 3/4 · Σ x); start() is the end of it.
struct FormatQ4_0 {
  static constant constexpr const uint kCols = 32;
  static constant constexpr const uint kTileSteps = 2;
  static constant constexpr const bool kHasStart = true;
  static constant constexpr const uint kPlanes = 4;
  static constant constexpr const bool kNibbles = true;
  static constant constexpr const float kByteScale = 256.0f / 16;

  /// With h and l what a byte w = 16 h + l has above and below (tiles.h), and x_h and x_l what they meet:
  ///   w x_h + l (16 x_l − x_h) = 16 (h x_h + l x_l)
  /// so that no nibble is shifted, and those above are not even masked. l is q, and 8 Σ x_l too much.
  static BytePair bytes(uint4 first, uint4 last, uint step) {
    const uint4 words = step == 0 ? first : last;
    return {words, words & 0x0f0f0f0fu};
  }

  static Chunk load(device const uint4* quants, device const half* scales, uint c) {
    return {lattice_load_streamed(quants + c), scales[c]};
  }
  static void unpack(Chunk chunk, thread float* out) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const float4 low = float4(as_type<uchar4>(chunk.bits[i] & 0x0f0f0f0fu)) - 8.0f;
      const float4 high = float4(as_type<uchar4>((chunk.bits[i] >> 4) & 0x0f0f0f0fu)) - 8.0f;
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        out[4 * i + j] = float(chunk.scale) * low[j];
        out[16 + 4 * i + j] = float(chunk.scale) * high[j];
      }
    }
  }
  static float start(float x_sum) {
    return -0.75f * x_sum;
  }
  static float dot(Chunk chunk, thread const float* x, float2 start) {
    float low = start.x;
    float high = start.y;
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const uint lows = (chunk.bits[i] << 3) & 0x78787878u;
      const uint highs = (chunk.bits[i] >> 1) & 0x78787878u;
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        low = fma(lattice_fraction(lows, j), x[4 * i + j], low);
        high = fma(lattice_fraction(highs, j), x[16 + 4 * i + j], high);
      }
    }
    return 32.0f * float(chunk.scale) * (low + high);
  }
};

}  // namespace lattice_gpu
