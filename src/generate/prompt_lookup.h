#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lattice/model.hpp"

namespace lattice {

/// Guesses what a text says next by what it said before: the longest run of tokens that the text ends with
/// and that stands in it earlier as well, the latest one where there are several, and what followed it there
/// (prompt lookup decoding, as of A. Saxena, 2023; the idea is that of Yang et al., "Inference with
/// reference", 2023). Right wherever a text quotes, copies or repeats itself.
class PromptLookup {
 public:
  /// Runs shorter than this say nothing; longer ones than kLongestRun count as that.
  static constexpr std::int64_t kShortestRun = 2;
  static constexpr std::int64_t kLongestRun = 16;

  /// At most `most` tokens to come after `text`; none where nothing is known. Valid until the next call. Time
  /// is linear in the text.
  [[nodiscard]] std::span<const Token> guess(std::span<const Token> text, std::int64_t most);

 private:
  std::vector<Token> guesses_;
};

}  // namespace lattice
