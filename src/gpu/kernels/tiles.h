#pragma once

// Where the chunks of a matrix lie. Rows follow one another, or lie in tiles (DeviceMatrix::row_groups), so
// that a simdgroup of gemv_bytes.metal reads whole lines and has the operands of its products as they come.
//
// A tile has 16 rows, and units of four of their chunks, one after the other. In a unit lane l has four words
// of rows l / 4 and l / 4 + 8, a and b: a0 b0 a1 b1 at vector l of the unit, a2 b2 a3 b3 at vector 32 + l.
// Two neighbouring lanes share blocks of weights, so that one product (lattice_pair_sums()) sums a block for
// both:
//
// - Q8_0: one block of two chunks; a lane's words are chunk l % 4.
// - Q4_0: two blocks of a chunk each, in turn. Words 0 and 1 have 16 columns of the one, words 2 and 3 of the
//   other, the first 16 in the even lane. A byte has column 2j below, as q, and column 2j + 1 above, as q − 8
//   in four bits: a signed byte of 16 (q − 8) above and q below.
//
// Scales: for every two lanes those of a and b of each of their blocks. What is beyond the matrix's rows and
// columns is zero.

#include "formats.h"

using namespace metal;

namespace lattice_gpu {

constant constexpr uint kUnitRows = 16;
constant constexpr uint kUnitChunks = 4;
constant constexpr uint kUnitVectors = kUnitRows * kUnitChunks;
constant constexpr uint kUnitPairs = 16;  // of lanes

/// How a matrix's chunks are found.
struct ChunkPlaces {
  uint row_chunks;
  uint row_blocks;
  uint row_groups;  // units of a tile, or 0: rows follow one another
};

/// Of a lane's words in a unit, those of row a, or of row b.
inline uint4 lane_words(device const uint4* unit, uint lane, bool is_b) {
  const uint4 first = unit[lane];
  const uint4 last = unit[32 + lane];
  return is_b ? uint4(first.y, first.w, last.y, last.w) : uint4(first.x, first.z, last.x, last.z);
}

/// Q4_0's chunk as FormatQ4_0 has it, from a block's words in two lanes.
inline uint4 join_nibbles(uint2 even, uint2 odd) {
  uint4 out;
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    const uchar4 below = as_type<uchar4>((even[i] & 0x0f0f0f0fu) | (odd[i] & 0x0f0f0f0fu) << 4);
    const uint upper = (even[i] >> 4 & 0x0f0f0f0fu) | (odd[i] & 0xf0f0f0f0u);
    const uchar4 above = as_type<uchar4>(upper ^ 0x88888888u);
    out[2 * i] = as_type<uint>(uchar4(below.x, above.x, below.y, above.y));
    out[2 * i + 1] = as_type<uint>(uchar4(below.z, above.z, below.w, above.w));
  }
  return out;
}

/// Chunk `c` of a row.
template <typename Format>
inline Chunk load_chunk(device const uint4* quants, device const half* scales, ChunkPlaces places, uint row,
                        uint c) {
  if (Format::kTileSteps == 0 || places.row_groups == 0) {
    return Format::load(quants + ulong(row) * places.row_chunks, scales + ulong(row) * places.row_blocks, c);
  }
  const ulong unit = ulong(row / kUnitRows) * places.row_groups + c / kUnitChunks;
  device const uint4* vectors = quants + unit * kUnitVectors;
  const uint lane = row % 8 * kUnitChunks + c % kUnitChunks;
  const uint step = Format::kTileSteps == 2 ? c % 2 : 0;
  const bool is_b = row / 8 % 2 != 0;
  uint4 bits = lane_words(vectors, lane, is_b);
  if (Format::kTileSteps == 2) {
    const uint4 other = lane_words(vectors, lane ^ 1, is_b);
    const uint4 even = step == 0 ? bits : other;
    const uint4 odd = step == 0 ? other : bits;
    bits = step == 0 ? join_nibbles(even.xy, odd.xy) : join_nibbles(even.zw, odd.zw);
  }
  return {bits, scales[((unit * kUnitPairs + lane / 2) * Format::kTileSteps + step) * 2 + (is_b ? 1 : 0)]};
}

}  // namespace lattice_gpu
