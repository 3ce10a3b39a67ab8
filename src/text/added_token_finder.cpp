#include "text/added_token_finder.h"

#include <algorithm>

namespace lattice {

void AddedTokenFinder::add(std::string text, std::int32_t id) {
  begins_[static_cast<std::uint8_t>(text[0])] = true;
  tokens_.push_back({std::move(text), id});
}

void AddedTokenFinder::finish() {
  std::sort(tokens_.begin(), tokens_.end(), [](const Token& a, const Token& b) { return a.text < b.text; });
}

AddedTokenFinder::Match AddedTokenFinder::find(std::string_view text, std::size_t from) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    if (!begins_[static_cast<std::uint8_t>(text[at])]) continue;
    if (const Token* token = longest_at(text.substr(at))) return {at, token->text.size(), token->id};
  }
  return {text.size(), 0, -1};
}

/// Narrows the sorted list down, byte by byte, to the tokens that begin like `text`.
const AddedTokenFinder::Token* AddedTokenFinder::longest_at(std::string_view text) const {
  const Token* longest = nullptr;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  for (std::size_t i = 0; i < text.size() && first != last; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const auto at_i = [i](const Token& token) { return static_cast<std::uint8_t>(token.text[i]); };
    first = std::partition_point(first, last, [&](const Token& token) { return at_i(token) < byte; });
    last = std::partition_point(first, last, [&](const Token& token) { return at_i(token) == byte; });
    // What ends here sorts before all that goes on.
    if (first != last && first->text.size() == i + 1) longest = &*first++;
  }
  return longest;
}

}  // namespace lattice
