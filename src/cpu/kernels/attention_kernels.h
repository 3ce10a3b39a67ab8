// What a decode step's queries do with keys and values, once for every vector instruction set: all heads that
// share a KV head together, so that a key or a value comes from memory, and from binary16, once for all of
// them. Included like vector_kernels.h, and in an anonymous namespace for the same reason.
//
// Tiles of up to kTileHeads heads by S::kTileKeys keys, which go through the keys in order. No bit depends on
// where in a tile a key falls, nor on how large the tile is: several decode steps that are taken together cut
// the keys in other places than single ones do, and must come to the same.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/rows_ahead.h"

namespace lattice::cpu {
namespace {

template <typename S>
struct AttentionKernels {
  using Float = typename S::Float;
  static constexpr std::int64_t kLanes = S::kLanes;
  static constexpr std::int64_t kTileHeads = 4;

  static Float load(const float* p) { return S::load(p); }
  static Float load(const std::uint16_t* p) { return S::load_f16(p); }

  /// tile(n, head) for tiles of n heads from `head` on, n a constant: as few as there can be, and of as even
  /// sizes, since a tile of few sums waits for the latency of FMA. Six heads are three and three.
  template <typename Tile>
  static void for_heads(std::int64_t heads, const Tile& tile) {
    std::int64_t head = 0;
    for (std::int64_t tiles = (heads + kTileHeads - 1) / kTileHeads; tiles > 0; --tiles) {
      const std::int64_t n = (heads - head + tiles - 1) / tiles;
      switch (n) {
        case 1:
          tile(std::integral_constant<int, 1>(), head);
          break;
        case 2:
          tile(std::integral_constant<int, 2>(), head);
          break;
        case 3:
          tile(std::integral_constant<int, 3>(), head);
          break;
        default:
          tile(std::integral_constant<int, 4>(), head);
          break;
      }
      head += n;
    }
  }

  /// tile(n, key) for whole tiles of keys, then for the last keys one by one.
  template <typename Tile>
  static void for_keys(std::int64_t keys, const Tile& tile) {
    std::int64_t key = 0;
    for (; key + S::kTileKeys <= keys; key += S::kTileKeys)
      tile(std::integral_constant<int, S::kTileKeys>(), key);
    for (; key < keys; ++key) tile(std::integral_constant<int, 1>(), key);
  }

  /// A score has one chain of sums: the others of its tile hide the latency.
  template <int kHeads, int kKeys, typename T>
  static void score_tile(const float* queries, const T* keys, std::int64_t d, float* scores,
                         std::int64_t stride) {
    Float sums[kHeads][kKeys];
    for (int h = 0; h < kHeads; ++h) {
      for (int k = 0; k < kKeys; ++k) sums[h][k] = S::zero();
    }
    for (std::int64_t i = 0; i < d; i += kLanes) {
      ask_for_tile_to_come<S, kKeys, Access::kRead>(keys, d, i);
      Float key[kKeys];
      for (int k = 0; k < kKeys; ++k) key[k] = load(keys + k * d + i);
      for (int h = 0; h < kHeads; ++h) {
        const Float query = S::load(queries + h * d + i);
        for (int k = 0; k < kKeys; ++k) sums[h][k] = S::fma(query, key[k], sums[h][k]);
      }
    }
    for (int h = 0; h < kHeads; ++h) {
      for (int k = 0; k < kKeys; ++k) scores[h * stride + k] = S::sum(sums[h][k]);
    }
  }

  template <typename T>
  static void score_keys(const float* queries, std::int64_t heads, const T* keys, std::int64_t count,
                         std::int64_t d, float* scores, std::int64_t stride) {
    for_keys(count, [&](auto n_keys, std::int64_t key) {
      for_heads(heads, [&](auto n_heads, std::int64_t head) {
        score_tile<n_heads(), n_keys()>(queries + head * d, keys + key * d, d, scores + head * stride + key,
                                        stride);
      });
    });
  }

  /// Weights stay in registers, and sums go through the first-level cache once a tile: sums in registers
  /// would want columns of many rows, which is no order to read memory in.
  template <int kHeads, int kKeys, typename T>
  static void value_tile(const float* weights, std::int64_t stride, const T* values, std::int64_t d,
                         float* out) {
    Float factors[kHeads][kKeys];
    for (int h = 0; h < kHeads; ++h) {
      for (int k = 0; k < kKeys; ++k) factors[h][k] = S::set1(weights[h * stride + k]);
    }
    for (std::int64_t i = 0; i < d; i += kLanes) {
      ask_for_tile_to_come<S, kKeys, Access::kRead>(values, d, i);
      Float value[kKeys];
      for (int k = 0; k < kKeys; ++k) value[k] = load(values + k * d + i);
      for (int h = 0; h < kHeads; ++h) {
        Float sum = S::load(out + h * d + i);
        for (int k = 0; k < kKeys; ++k) sum = S::fma(factors[h][k], value[k], sum);
        S::store(out + h * d + i, sum);
      }
    }
  }

  template <typename T>
  static void add_values(const float* weights, std::int64_t stride, std::int64_t heads, const T* values,
                         std::int64_t count, std::int64_t d, float* out) {
    for_keys(count, [&](auto n_keys, std::int64_t key) {
      for_heads(heads, [&](auto n_heads, std::int64_t head) {
        value_tile<n_heads(), n_keys()>(weights + head * stride + key, stride, values + key * d, d,
                                        out + head * d);
      });
    });
  }
};

template <typename S>
void add_attention_kernels(Kernels& table) noexcept {
  using All = AttentionKernels<S>;
  table.score_keys = All::template score_keys<float>;
  table.score_keys_f16 = All::template score_keys<std::uint16_t>;
  table.add_values = All::template add_values<float>;
  table.add_values_f16 = All::template add_values<std::uint16_t>;
}

}  // namespace
}  // namespace lattice::cpu
