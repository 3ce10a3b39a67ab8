#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer_data.h"

namespace lattice {

/// Finds the merge of a pair of tokens: open addressing, sixteen bytes an entry, at most half full, so that a
/// look-up nearly always costs one cache line.
class MergeTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;  ///< the rank of a pair that is not merged

  struct Entry {
    std::uint32_t left;
    std::uint32_t right;
    std::uint32_t rank;    ///< the merge's place in the list, 0 first; kNone: no merge
    std::uint32_t result;  ///< the token that the pair becomes
  };

  explicit MergeTable(std::span<const TokenizerData::Merge> merges)
      : entries_(std::bit_ceil(merges.size() * 2 + 1), Entry{0, 0, kNone, 0}),
        shift_(64 - std::countr_zero(entries_.size())) {
    std::uint32_t rank = 0;
    for (const auto& [left, right, result] : merges) {
      const auto l = static_cast<std::uint32_t>(left);
      const auto r = static_cast<std::uint32_t>(right);
      entries_[locate(l, r)] = {l, r, rank++, static_cast<std::uint32_t>(result)};
    }
  }

  /// The entry of the pair; one with rank kNone where there is no merge.
  [[nodiscard]] const Entry& find(std::uint32_t left, std::uint32_t right) const noexcept {
    return entries_[locate(left, right)];
  }

 private:
  [[nodiscard]] std::size_t locate(std::uint32_t left, std::uint32_t right) const noexcept {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio: Fibonacci hashing
    std::uint64_t hash = (std::uint64_t{left} << 32 | right) * kOdd;
    hash = (hash ^ hash >> 32) * kOdd;
    std::size_t at = shift_ == 64 ? 0 : hash >> shift_;
    for (;; at = (at + 1) & (entries_.size() - 1)) {
      const Entry& entry = entries_[at];
      if (entry.rank == kNone || (entry.left == left && entry.right == right)) return at;
    }
  }

  std::vector<Entry> entries_;
  int shift_;
};

}  // namespace lattice
