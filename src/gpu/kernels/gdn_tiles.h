#pragma once

#include <metal_stdlib>

using namespace metal;

namespace lattice_gpu {

// What stands between the kernels of a prompt's delta rule lies in tiles of 8 tokens by 8 columns, each of 64
// floats in a row: so a simdgroup matrix is loaded from one place, where rows would bring it from eight.

/// The place of an element in a matrix [tokens, cols], cols a multiple of 8.
inline uint tile_place(uint token, uint col, uint cols) {
  return (token / 8 * (cols / 8) + col / 8) * 64 + token % 8 * 8 + col % 8;
}
/// Of a tile's first.
inline uint tile_at(uint block, uint tile, uint tiles) {
  return (block * tiles + tile) * 64;
}

}  // namespace lattice_gpu
