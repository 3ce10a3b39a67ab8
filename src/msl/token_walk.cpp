#include "msl/token_walk.h"

#include <algorithm>
#include <array>

namespace lattice::msl {
namespace {

constexpr std::array<std::string_view, 7> kArithmeticWords = {"unsigned", "signed", "short", "long",
                                                              "int",      "char",   "double"};
constexpr std::array<std::string_view, 9> kQualifiers = {
    "const", "volatile", "constexpr", "static", "inline", "extern", "typename", "struct", "mutable"};

template <std::size_t N>
bool one_of(const Token& token, const std::array<std::string_view, N>& words) {
  return token.is_identifier() && std::find(words.begin(), words.end(), token.text) != words.end();
}

}  // namespace

bool is_address_space(const Token& token) {
  return token.is("device") || token.is("constant") || token.is("threadgroup") || token.is("thread");
}

std::size_t TokenWalk::past_group(std::size_t open) const {
  std::size_t depth = 0;
  for (std::size_t at = open; at < tokens_.size(); ++at) {
    const Token& token = tokens_[at];
    if (token.is("(") || token.is("[") || token.is("{")) ++depth;
    if (token.is(")") || token.is("]") || token.is("}")) --depth;
    if (depth == 0) return at + 1;
  }
  fail_at(sources_, tokens_[open], "{} is not closed", tokens_[open].text);
}

std::size_t TokenWalk::past_angles(std::size_t open) const {
  int depth = 0;
  for (std::size_t at = open; at < tokens_.size();) {
    const Token& token = tokens_[at];
    if (token.is("(") || token.is("[") || token.is("{")) {
      at = past_group(at);
      continue;
    }
    if (token.is(";") || token.is(")") || token.is("]") || token.is("}")) return 0;
    if (token.is("<")) ++depth;
    if (token.is(">")) --depth;
    if (token.is(">>")) depth -= 2;
    ++at;
    if (depth <= 0) return at;
  }
  return 0;
}

std::size_t TokenWalk::past_qualifiers(std::size_t at) const {
  while (at < tokens_.size()) {
    if (one_of(tokens_[at], kQualifiers) || is_address_space(tokens_[at])) {
      ++at;
    } else if (opens_attribute(at)) {
      at = past_group(at);
    } else if ((is(at, "alignas") || is(at, "__attribute__")) && is(at + 1, "(")) {
      at = past_group(at + 1);
    } else {
      break;
    }
  }
  return at;
}

std::size_t TokenWalk::past_type(std::size_t at) const {
  const std::size_t begin = at;
  at = past_qualifiers(at);
  if (at >= tokens_.size()) return begin;
  if (one_of(tokens_[at], kArithmeticWords)) {
    while (at < tokens_.size() && (one_of(tokens_[at], kArithmeticWords) || one_of(tokens_[at], kQualifiers)))
      ++at;
    return past_qualifiers(at);
  }
  if (is(at, "decltype") && is(at + 1, "(")) return past_qualifiers(past_group(at + 1));
  if (is(at, "::")) ++at;
  if (!is_identifier(at)) return begin;
  while (true) {
    ++at;
    if (is(at, "<")) {
      const std::size_t past = past_angles(at);
      if (past != 0) at = past;
    }
    if (!is(at, "::")) break;
    ++at;
    if (is(at, "template")) ++at;
    if (!is_identifier(at)) return begin;
  }
  return past_qualifiers(at);
}

}  // namespace lattice::msl
