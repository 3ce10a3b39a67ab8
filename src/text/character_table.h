#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "text/unicode_ranges.h"

namespace lattice {

/// One byte for every character, in two stages: most of the 8,704 blocks of 128 characters are equal to
/// another, so that the table fits the second-level cache.
class CharacterTable {
 public:
  /// `value_of(properties)` gives the byte.
  template <typename ValueOf>
  explicit CharacterTable(const ValueOf& value_of) {
    std::vector<std::uint8_t> flat(kCharacters);
    const auto ranges = unicode_ranges();
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const std::size_t end = i + 1 < ranges.size() ? ranges[i + 1].first : kCharacters;
      const std::uint8_t value = value_of(ranges[i].properties);
      for (std::size_t c = ranges[i].first; c < end; ++c) flat[c] = value;
    }
    build(flat);
  }

  /// `character` is at most U+10FFFF.
  [[nodiscard]] std::uint8_t operator[](char32_t character) const noexcept {
    return blocks_[std::size_t{block_of_[character / kBlock]} * kBlock + character % kBlock];
  }

 private:
  static constexpr std::size_t kCharacters = 0x110000;
  static constexpr std::size_t kBlock = 128;

  void build(const std::vector<std::uint8_t>& flat);

  std::array<std::uint16_t, kCharacters / kBlock> block_of_{};
  std::vector<std::uint8_t> blocks_;
};

}  // namespace lattice
