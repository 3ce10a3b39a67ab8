#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {

// Vectors in planes of bytes, by what kernels/planes.h says of them and not by its code. As floats: what
// device memory holds in their place.

constexpr std::size_t kPlaneGroup = 16;  // columns
constexpr std::size_t kPlaneBlock = 32;

constexpr std::size_t planes_floats(std::size_t cols) {
  return cols + cols / 8;
}

namespace planes_detail {

inline std::size_t digits_of(std::uint32_t kind) {
  return kind == LATTICE_PLANES_NIBBLES ? 4 : 3;
}

/// Where the highest digit of a column stands; the next is kPlaneGroup bytes on.
inline std::size_t place(std::uint32_t kind, std::size_t column) {
  constexpr std::size_t kPlanes = 4;
  const std::size_t group = column / kPlaneGroup * kPlaneGroup * kPlanes;
  if (kind == LATTICE_PLANES_BYTES) return group + column % kPlaneGroup;
  return group + (column % 2 != 0 ? 0 : 8) + column % kPlaneGroup / 2;
}

inline void put_digits(std::int64_t n, std::size_t digits, std::int8_t* out) {
  for (std::size_t p = digits; p-- > 0;) {
    const auto digit = static_cast<std::int8_t>(n);  // the nearest multiple of 256 stays
    out[p * kPlaneGroup] = digit;
    n = (n - digit) / 256;
  }
}

/// The scale of 32 columns: the power of two with which the largest has 22 bits, or 26.
inline double scale_of(std::uint32_t kind, std::span<const float> block) {
  float largest = 0;
  for (const float x : block) largest = std::max(largest, std::abs(x));
  const int exponent = std::max(static_cast<int>(std::bit_cast<std::uint32_t>(largest) >> 23), 34) - 127;
  return std::ldexp(1.0, exponent + 1 - (kind == LATTICE_PLANES_NIBBLES ? 26 : 22));
}

}  // namespace planes_detail

/// Of finite values.
inline std::vector<float> in_planes(std::uint32_t kind, std::span<const float> x) {
  using namespace planes_detail;
  std::vector<float> out(planes_floats(x.size()));
  auto* bytes = reinterpret_cast<std::int8_t*>(out.data());
  for (std::size_t first = 0; first < x.size(); first += kPlaneBlock) {
    const double scale = scale_of(kind, x.subspan(first, kPlaneBlock));
    std::int64_t n[kPlaneBlock];
    for (std::size_t i = 0; i < kPlaneBlock; ++i) {
      const double exact = x[first + i] / scale;
      n[i] = static_cast<std::int64_t>(kind == LATTICE_PLANES_NIBBLES ? std::trunc(exact)
                                                                      : std::nearbyint(exact));
    }
    std::int64_t evens = 0;
    for (std::size_t i = 0; i < kPlaneBlock; ++i) {
      const bool joins = kind == LATTICE_PLANES_NIBBLES && i % 2 == 0;
      if (joins) evens += n[i];
      put_digits(joins ? 16 * n[i] - n[i + 1] : n[i], digits_of(kind), bytes + place(kind, first + i));
    }
    // What the sum of two planes starts from, and of nibbles 128 · evens, shared out at 2^24.
    constexpr double kStart = 12582912.0 * (1 + 1.0 / 256);
    const auto upper = static_cast<double>((evens + 65536) >> 17);
    const double starts[] = {
        kStart + (kind == LATTICE_PLANES_NIBBLES ? upper : 0),
        kStart + (kind == LATTICE_PLANES_NIBBLES ? (static_cast<double>(evens) - upper * 131072) / 2 : 0)};
    for (std::size_t g = 0; g < 2; ++g) {
      float* group = out.data() + x.size() + 2 * (first / kPlaneGroup + g);
      group[0] = static_cast<float>(scale);
      group[1] = static_cast<float>(-scale * static_cast<double>(static_cast<float>(starts[g])));
    }
  }
  return out;
}

/// A vector that an RMSNorm comes before, times the norm's weight, and behind the planes Σ x² of 32 columns
/// each.
inline std::vector<float> in_normed_planes(std::uint32_t kind, std::span<const float> x,
                                           std::span<const float> weight) {
  std::vector<float> weighted(x.begin(), x.end());
  for (std::size_t i = 0; i < x.size(); ++i) weighted[i] *= weight[i];
  std::vector<float> out = in_planes(kind, weighted);
  for (std::size_t first = 0; first < x.size(); first += kPlaneBlock) {
    double squares = 0;
    for (const float value : x.subspan(first, kPlaneBlock)) squares += double{value} * value;
    out.push_back(static_cast<float>(squares));
  }
  return out;
}

/// The values of `cols` columns.
inline std::vector<float> of_planes(std::uint32_t kind, std::size_t cols, std::span<const float> planes) {
  using namespace planes_detail;
  const auto* bytes = reinterpret_cast<const std::int8_t*>(planes.data());
  const auto integer = [&](std::size_t column) {
    std::int64_t n = 0;
    for (std::size_t p = 0; p < digits_of(kind); ++p)
      n = 256 * n + bytes[p * kPlaneGroup + place(kind, column)];
    return n;
  };
  std::vector<float> out;
  for (std::size_t i = 0; i < cols; ++i) {
    std::int64_t n = integer(i);
    if (kind == LATTICE_PLANES_NIBBLES && i % 2 == 0) n = (n + integer(i + 1)) / 16;
    out.push_back(static_cast<float>(static_cast<double>(n) * planes[cols + 2 * (i / kPlaneGroup)]));
  }
  return out;
}

}  // namespace lattice::gpu
