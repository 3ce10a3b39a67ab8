#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lattice::msl {

enum class TokenKind : std::uint8_t {
  kIdentifier,
  kNumber,
  kString,
  kCharacter,
  kPunctuator,
  kUnroll,  ///< a loop-unrolling pragma; `text` is the factor, or empty for "as far as it goes"
};

/// One token of MSL. `text` points into memory that the SourceSet owns.
struct Token {
  TokenKind kind = TokenKind::kPunctuator;
  bool space_before = false;  ///< white space or a comment stands before it
  bool first_on_line = false;
  std::uint16_t file = 0;  ///< index into SourceSet
  std::uint32_t line = 0;  ///< from 1; of a token that a macro gave: the line of the macro's use
  std::string_view text;

  [[nodiscard]] bool is(std::string_view what) const noexcept {
    return text == what && kind != TokenKind::kString && kind != TokenKind::kCharacter;
  }
  [[nodiscard]] bool is_identifier() const noexcept { return kind == TokenKind::kIdentifier; }
};

using Tokens = std::vector<Token>;

}  // namespace lattice::msl
