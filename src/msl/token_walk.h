#pragma once

#include "msl/module.h"

namespace lattice::msl {

/// Movements over the tokens of a module that parser and emitters share. Positions are indices; everything
/// stops at `end`, and what does not close is an Error at the opening token.
class TokenWalk {
 public:
  TokenWalk(const SourceSet& sources, const Tokens& tokens) : sources_(sources), tokens_(tokens) {}

  [[nodiscard]] bool is(std::size_t at, std::string_view text) const {
    return at < tokens_.size() && tokens_[at].is(text);
  }
  [[nodiscard]] bool is_identifier(std::size_t at) const {
    return at < tokens_.size() && tokens_[at].is_identifier();
  }
  [[nodiscard]] bool opens_attribute(std::size_t at) const { return is(at, "[") && is(at + 1, "["); }

  /// From an opening (, [ or { to past its partner.
  [[nodiscard]] std::size_t past_group(std::size_t open) const;
  /// From a < to past its >, or 0 where it opens no template argument list. A >> closes two; where it closes
  /// one too many, the list is taken to end with it.
  [[nodiscard]] std::size_t past_angles(std::size_t open) const;
  /// Past a type without * and &: qualifiers, address spaces, and one name or a run of words such as
  /// `unsigned int`. `at` itself where none stands there.
  [[nodiscard]] std::size_t past_type(std::size_t at) const;

 private:
  [[nodiscard]] std::size_t past_qualifiers(std::size_t at) const;

  const SourceSet& sources_;
  const Tokens& tokens_;
};

[[nodiscard]] bool is_address_space(const Token& token);

}  // namespace lattice::msl
