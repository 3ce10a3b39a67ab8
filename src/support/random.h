#pragma once

#include <cstdint>
#include <span>

namespace lattice {

/// The 64 random bits that `stream` has at `index`: SplitMix64's output function (Steele, Lea, Flood 2014) of
/// a counter. Any element can be had without those before it, so that threads may share out a buffer and the
/// result depends on nothing but the two numbers.
[[nodiscard]] constexpr std::uint64_t random_bits(std::uint64_t stream, std::uint64_t index) noexcept {
  const auto mix = [](std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  // The stream is mixed on its own first: neighbouring streams would otherwise be shifts of each other.
  return mix(mix(stream + 0x9e3779b97f4a7c15u) + index * 0x9e3779b97f4a7c15u);
}

/// A number in [0, 1), of 24 random bits.
[[nodiscard]] constexpr float random_unit(std::uint64_t stream, std::uint64_t index) noexcept {
  return static_cast<float>(random_bits(stream, index) >> 40) * 0x1p-24f;
}

/// Writes values uniform in [−limit, limit): element i is that of index `first` + i.
inline void fill_uniform(std::span<float> out, float limit, std::uint64_t stream,
                         std::uint64_t first) noexcept {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = limit * (2 * random_unit(stream, first + i) - 1);
}

}  // namespace lattice
