#include "text/vocabulary_builder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "support/fail.h"
#include "support/printable.h"
#include "support/utf8.h"
#include "text/byte_level.h"

namespace lattice {

void VocabularyBuilder::set_tokens(std::vector<std::string> tokens, std::vector<TokenType> types) {
  data_.tokens = std::move(tokens);
  data_.types = std::move(types);
  index_.emplace(data_.tokens.size());
  const auto text_of = [this](std::int32_t id) -> const std::string& {
    return data_.tokens[static_cast<std::size_t>(id)];
  };
  for (std::size_t i = 0; i < data_.tokens.size(); ++i) {
    const std::string& token = data_.tokens[i];
    if (token.empty()) fail("{}: {}: token {} is empty", file_, tokens_field_, i);
    if (token.size() > kMaxTokenBytes) {
      fail("{}: {}: token {} has {} bytes, more than the {} that are allowed", file_, tokens_field_, i,
           token.size(), kMaxTokenBytes);
    }
    if (!is_utf8(token)) {
      fail("{}: {}: token {} is not UTF-8: {}", file_, tokens_field_, i, printable(token));
    }
    const std::int32_t other = index_->insert(token, static_cast<std::int32_t>(i), text_of);
    if (other >= 0) {
      fail("{}: {}: tokens {} and {} are both {}", file_, tokens_field_, other, i, printable(token));
    }
  }
  check_bytes();
}

void VocabularyBuilder::check_bytes() const {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string_view spelling = spelling_of_byte(static_cast<std::uint8_t>(byte));
    const auto id = find(spelling);
    if (!id || data_.types[static_cast<std::size_t>(*id)] != TokenType::kNormal) {
      fail("{}: {}: no token for byte {:#04x} ({}), which a byte-level vocabulary must have", file_,
           tokens_field_, byte, printable(spelling));
    }
  }
}

std::optional<std::int32_t> VocabularyBuilder::find(std::string_view token) const {
  const std::int32_t id = index_->find(token, [this](std::int32_t other) -> const std::string& {
    return data_.tokens[static_cast<std::size_t>(other)];
  });
  return id < 0 ? std::nullopt : std::optional(id);
}

std::int32_t VocabularyBuilder::part_of_merge(std::size_t index, std::string_view token) const {
  const auto id = find(token);
  if (!id) {
    fail("{}: {}[{}]: {} is not a token of the vocabulary", file_, merges_field_, index, printable(token));
  }
  return *id;
}

void VocabularyBuilder::add_merge(std::size_t index, std::string_view left, std::string_view right) {
  if (left.size() + right.size() > kMaxTokenBytes) {
    fail("{}: {}[{}]: the merged token would have more than {} bytes", file_, merges_field_, index,
         kMaxTokenBytes);
  }
  std::string result(left);
  result += right;
  data_.merges.push_back(
      {part_of_merge(index, left), part_of_merge(index, right), part_of_merge(index, result)});
}

void VocabularyBuilder::add_merge(std::size_t index, std::string_view pair) {
  const auto space = pair.find(' ');
  if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos) {
    fail("{}: {}[{}] is {}, not two tokens with a space between", file_, merges_field_, index,
         printable(pair));
  }
  add_merge(index, pair.substr(0, space), pair.substr(space + 1));
}

TokenizerData VocabularyBuilder::take() {
  std::vector<std::pair<std::uint64_t, std::size_t>> pairs;
  pairs.reserve(data_.merges.size());
  for (const auto& [left, right, result] : data_.merges) {
    pairs.emplace_back(static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint64_t>(right),
                       pairs.size());
  }
  std::sort(pairs.begin(), pairs.end());
  const auto twice =
      std::adjacent_find(pairs.begin(), pairs.end(), [](auto a, auto b) { return a.first == b.first; });
  if (twice != pairs.end()) {
    fail("{}: {}[{}] and [{}] merge the same pair", file_, merges_field_, twice->second,
         std::next(twice)->second);
  }
  return std::move(data_);
}

}  // namespace lattice
