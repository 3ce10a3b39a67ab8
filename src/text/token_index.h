#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace lattice {

/// Finds ids by their text: an open-addressing table that holds ids and hashes, while the texts stay with the
/// caller. A look-up that misses touches one cache line, nearly always.
class TokenIndex {
 public:
  /// Room for `tokens` of them.
  explicit TokenIndex(std::size_t tokens) : slots_(std::bit_ceil(tokens * 2 + 1)), mask_(slots_.size() - 1) {}

  /// Adds `id`. `text_of(id)` gives the text of any id added before. Returns the id that has this text
  /// already, or −1 (then `id` was added).
  template <typename TextOf>
  std::int32_t insert(std::string_view text, std::int32_t id, const TextOf& text_of) {
    const std::uint64_t hash = hash_of(text);
    const std::size_t at = locate(text, hash, text_of);
    if (slots_[at].id >= 0) return slots_[at].id;
    slots_[at] = {static_cast<std::uint32_t>(hash >> 32), id};
    return -1;
  }

  /// The id with this text, or −1.
  template <typename TextOf>
  [[nodiscard]] std::int32_t find(std::string_view text, const TextOf& text_of) const {
    return slots_[locate(text, hash_of(text), text_of)].id;
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // the hash's upper half; its lower half chose the slot
    std::int32_t id = -1;   // −1: empty
  };

  /// The slot of `text`, or the empty one where it would go.
  template <typename TextOf>
  [[nodiscard]] std::size_t locate(std::string_view text, std::uint64_t hash, const TextOf& text_of) const {
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.id < 0 || (slot.tag == tag && text_of(slot.id) == text)) return at;
    }
  }

  /// Eight bytes a step, each mixed by a multiplication and a shift, which is plenty for a table that no
  /// attacker can fill: words of a prompt are only looked up.
  static std::uint64_t hash_of(std::string_view text) noexcept {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio
    std::uint64_t hash = text.size() * kOdd;
    const auto mix = [&hash](std::uint64_t word) {
      hash = (hash ^ word) * kOdd;
      hash ^= hash >> 29;
    };
    const char* p = text.data();
    std::size_t left = text.size();
    for (; left >= 8; p += 8, left -= 8) {
      std::uint64_t word;
      std::memcpy(&word, p, 8);
      mix(word);
    }
    std::uint64_t rest = 0;
    for (std::size_t i = 0; i < left; ++i) rest |= std::uint64_t{static_cast<std::uint8_t>(p[i])} << (8 * i);
    mix(rest);
    hash *= kOdd;
    return hash ^ (hash >> 32);
  }

  std::vector<Slot> slots_;
  std::size_t mask_;
};

}  // namespace lattice
