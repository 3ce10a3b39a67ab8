#include "generate/prompt_lookup.h"

#include <algorithm>

namespace lattice {
namespace {

/// How many tokens the first `end` of `text` and all of it end with in common, up to kLongestRun.
std::int64_t common_ending(std::span<const Token> text, std::int64_t end) {
  const auto size = static_cast<std::int64_t>(text.size());
  const std::int64_t most = std::min(end, PromptLookup::kLongestRun);
  std::int64_t length = 0;
  while (length < most && text[static_cast<std::size_t>(end - 1 - length)] ==
                              text[static_cast<std::size_t>(size - 1 - length)]) {
    ++length;
  }
  return length;
}

}  // namespace

std::span<const Token> PromptLookup::guess(std::span<const Token> text, std::int64_t most) {
  guesses_.clear();
  std::int64_t longest = 0;
  std::int64_t next = 0;  // what followed the longest run
  for (auto end = static_cast<std::int64_t>(text.size()) - 1; end >= kShortestRun; --end) {
    const std::int64_t length = common_ending(text, end);
    if (length <= longest) continue;
    longest = length;
    next = end;
    if (longest == kLongestRun) break;
  }
  if (longest < kShortestRun) return {};
  // Past the end of the text its own guesses go on: a text that goes round in circles goes on doing so.
  const auto size = static_cast<std::int64_t>(text.size());
  for (std::int64_t i = next; i < next + most; ++i) {
    guesses_.push_back(i < size ? text[static_cast<std::size_t>(i)]
                                : guesses_[static_cast<std::size_t>(i - size)]);
  }
  return guesses_;
}

}  // namespace lattice
