// AMX for a processor that has none: the part of immintrin.h (this folder's) that computes tile instructions
// element by element, after Intel's descriptions. What a processor answers with an exception ends the
// program: tiles that were not configured, or whose shapes do not fit each other.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace emulated {

struct Tile {
  int rows = 0;
  int row_bytes = 0;
  std::uint8_t bytes[16][64] = {};

  template <typename T>
  [[nodiscard]] T at(int row, int index) const {
    T value;
    std::memcpy(&value, bytes[row] + index * static_cast<int>(sizeof(T)), sizeof(T));
    return value;
  }
  template <typename T>
  void set(int row, int index, T value) {
    std::memcpy(bytes[row] + index * static_cast<int>(sizeof(T)), &value, sizeof(T));
  }
};

inline Tile& tile(int number) {
  thread_local Tile tiles[8];
  return tiles[number];
}

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "emulated AMX: %s\n", what);
  std::abort();
}

inline void tile_loadconfig(const void* from) {
  const auto* config = static_cast<const std::uint8_t*>(from);
  require(config[0] == 1, "a palette that does not exist");
  for (int i = 1; i < 16; ++i) require(config[i] == 0, "a reserved byte that is not zero");
  for (int i = 0; i < 16; ++i) {
    std::uint16_t row_bytes;
    std::memcpy(&row_bytes, config + 16 + 2 * i, sizeof row_bytes);
    const int rows = config[48 + i];
    require(i < 8 ? rows <= 16 && row_bytes <= 64 : rows == 0 && row_bytes == 0, "a tile that is too large");
    require((rows == 0) == (row_bytes == 0), "a tile without rows or without columns");
    if (i < 8) tile(i) = {.rows = rows, .row_bytes = row_bytes};
  }
}
inline void tile_release() {
  for (int i = 0; i < 8; ++i) tile(i) = {};
}
inline void tile_zero(int number) {
  require(tile(number).rows != 0, "a tile that is not configured");
  tile(number) = {.rows = tile(number).rows, .row_bytes = tile(number).row_bytes};
}
inline void tile_loadd(int number, const void* from, std::int64_t stride) {
  tile_zero(number);
  Tile& to = tile(number);
  for (int row = 0; row < to.rows; ++row)
    std::memcpy(to.bytes[row], static_cast<const std::uint8_t*>(from) + row * stride,
                static_cast<std::size_t>(to.row_bytes));
}
inline void tile_stored(int number, void* to, std::int64_t stride) {
  const Tile& from = tile(number);
  require(from.rows != 0, "a tile that is not configured");
  for (int row = 0; row < from.rows; ++row)
    std::memcpy(static_cast<std::uint8_t*>(to) + row * stride, from.bytes[row],
                static_cast<std::size_t>(from.row_bytes));
}

inline void require_factors(int sum, int a, int b) {
  require(sum != a && sum != b && a != b, "one tile in two places");
  for (const int number : {sum, a, b}) require(tile(number).rows != 0, "a tile that is not configured");
  require(tile(a).row_bytes % 4 == 0 && tile(b).row_bytes % 4 == 0, "a row that ends within four bytes");
  require(tile(sum).rows == tile(a).rows && tile(sum).row_bytes == tile(b).row_bytes &&
              tile(a).row_bytes / 4 == tile(b).rows,
          "tiles whose shapes do not fit");
}

/// Bytes, A's and B's with a sign or without, four products at a time, modulo 2^32.
template <typename A, typename B>
void tile_multiply_bytes(int sum, int a, int b) {
  require_factors(sum, a, b);
  Tile& out = tile(sum);
  for (int m = 0; m < out.rows; ++m) {
    for (int k = 0; k < tile(b).rows; ++k) {
      for (int n = 0; n < out.row_bytes / 4; ++n) {
        std::int32_t products = 0;
        for (int i = 0; i < 4; ++i) products += tile(a).at<A>(m, 4 * k + i) * tile(b).at<B>(k, 4 * n + i);
        out.set(m, n, out.at<std::uint32_t>(m, n) + static_cast<std::uint32_t>(products));
      }
    }
  }
}

inline float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}
inline float from_bf16(std::uint16_t x) {
  return flushed(std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16));
}

/// bfloat16: even and odd columns are added up apart, rounded to nearest after each addition; then their
/// sums; then the tile's. Denormal numbers are zero, as factors and as results.
inline void tile_dpbf16ps(int sum, int a, int b) {
  require_factors(sum, a, b);
  Tile& out = tile(sum);
  for (int m = 0; m < out.rows; ++m) {
    for (int n = 0; n < out.row_bytes / 4; ++n) {
      float sums[2] = {};
      for (int k = 0; k < tile(b).rows; ++k) {
        for (int i = 0; i < 2; ++i) {
          const float x = from_bf16(tile(a).at<std::uint16_t>(m, 2 * k + i));
          const float w = from_bf16(tile(b).at<std::uint16_t>(k, 2 * n + i));
          sums[i] = flushed(std::fma(x, w, sums[i]));
        }
      }
      out.set(m, n, flushed(flushed(out.at<float>(m, n)) + flushed(sums[0] + sums[1])));
    }
  }
}

}  // namespace emulated

#undef _tile_loadconfig
#define _tile_loadconfig emulated::tile_loadconfig
#undef _tile_release
#define _tile_release emulated::tile_release
#undef _tile_zero
#define _tile_zero emulated::tile_zero
#undef _tile_loadd
#define _tile_loadd emulated::tile_loadd
#undef _tile_stored
#define _tile_stored emulated::tile_stored
#undef _tile_dpbf16ps
#define _tile_dpbf16ps emulated::tile_dpbf16ps
#undef _tile_dpbssd
#define _tile_dpbssd emulated::tile_multiply_bytes<std::int8_t, std::int8_t>
#undef _tile_dpbsud
#define _tile_dpbsud emulated::tile_multiply_bytes<std::int8_t, std::uint8_t>
