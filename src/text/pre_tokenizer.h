#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "text/character_table.h"
#include "text/tokenizer_data.h"

namespace lattice {

/// Cuts text into the words that merges stay within. A scanner written by hand for the two patterns of
/// tokenizer_data.h, which are one pattern over two ideas of a letter; equal to the regular expression as
/// Oniguruma runs it, and tested against PCRE2.
class PreTokenizer {
 public:
  explicit PreTokenizer(PreTokenizerKind kind);

  /// The length in bytes of the word that `text` begins with. `text` is well-formed UTF-8 and not empty.
  /// Cutting all of a text takes time linear in its length.
  [[nodiscard]] std::size_t word_length(std::string_view text) const;

 private:
  CharacterTable classes_;
  std::array<std::uint8_t, 128> ascii_{};  // the same for ASCII, with the line ends told from other spaces
};

}  // namespace lattice
