#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/merge_table.h"
#include "text/tokenizer_data.h"

namespace lattice {

/// Byte-pair encoding of one word (Sennrich et al., arXiv:1508.07909): from the word's bytes on, the pair of
/// neighbours that stands first in the list of merges becomes one token, the leftmost of equals first, until
/// no pair is in the list.
class Bpe {
 public:
  /// `byte_ids`: the token of each byte.
  Bpe(const TokenizerData& data, const std::array<std::uint32_t, 256>& byte_ids)
      : merges_(data.merges), byte_ids_(byte_ids) {}

  /// Appends the tokens of `word`, which may be of any bytes: n · log n time at worst. It must
  /// be shorter than 4 GiB.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  void encode_short(std::string_view word, std::vector<std::int32_t>& ids) const;
  void encode_long(std::string_view word, std::vector<std::int32_t>& ids) const;

  MergeTable merges_;
  std::array<std::uint32_t, 256> byte_ids_;
};

}  // namespace lattice
