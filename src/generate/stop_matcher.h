#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lattice {

/// Finds the first of several stop strings in a text that comes in pieces, and passes on what can no longer
/// become part of one. What it passes on does not depend on where the pieces were cut.
///
/// First is the stop string that is complete first; of several that end at the same place, the longest.
class StopMatcher {
 public:
  // More, or longer, is a mistake rather than a wish, and every byte of text is held against each of them.
  static constexpr std::size_t kMaxStrings = 64;
  static constexpr std::size_t kMaxBytes = 1024;

  /// Throws Error(kUsage) for a stop string that is empty, not UTF-8 or beyond the limits.
  explicit StopMatcher(const std::vector<std::string>& stops);

  /// Takes the next piece and returns what may be shown: of whole characters where the pieces are. After a
  /// match, nothing more.
  [[nodiscard]] std::string push(std::string_view piece);
  /// Whether a stop string was found. The text shown so far is then all that comes before it.
  [[nodiscard]] bool has_matched() const noexcept { return has_matched_; }
  /// The text is at its end: returns what was held back.
  [[nodiscard]] std::string finish();

 private:
  /// One stop string, searched as Knuth, Morris and Pratt do (1977).
  struct Pattern {
    std::string text;
    std::vector<std::size_t> border;  ///< of each prefix: the longest proper prefix that is a suffix too
    std::size_t matched = 0;          ///< the longest prefix of `text` that the text read so far ends with
  };

  static void advance(Pattern& pattern, char byte);

  std::vector<Pattern> patterns_;
  std::string held_;
  bool has_matched_ = false;
};

}  // namespace lattice
