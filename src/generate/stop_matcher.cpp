#include "generate/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "support/fail.h"
#include "support/printable.h"
#include "support/utf8.h"

namespace lattice {
namespace {

/// border[n]: of the first n bytes of `text`, the longest proper prefix that they end with as well.
std::vector<std::size_t> borders(std::string_view text) {
  std::vector<std::size_t> border(text.size() + 1);
  std::size_t length = 0;
  for (std::size_t n = 1; n < text.size(); ++n) {
    while (length > 0 && text[n] != text[length]) length = border[length];
    if (text[n] == text[length]) ++length;
    border[n + 1] = length;
  }
  return border;
}

}  // namespace

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  if (stops.size() > kMaxStrings) {
    fail_usage("{} stop strings were given; at most {} are taken", stops.size(), kMaxStrings);
  }
  for (const std::string& stop : stops) {
    if (stop.empty()) fail_usage("a stop string is empty");
    if (stop.size() > kMaxBytes) {
      fail_usage("a stop string has {} bytes; at most {} are taken", stop.size(), kMaxBytes);
    }
    if (!is_utf8(stop)) fail_usage("the stop string {} is not UTF-8", printable(stop));
    patterns_.push_back({stop, borders(stop), 0});
  }
}

void StopMatcher::advance(Pattern& pattern, char byte) {
  std::size_t& matched = pattern.matched;
  while (matched > 0 && pattern.text[matched] != byte) matched = pattern.border[matched];
  if (pattern.text[matched] == byte) ++matched;
}

std::string StopMatcher::push(std::string_view piece) {
  if (has_matched_) return {};
  std::size_t longest = 0;  // of the text so far, what may be the beginning of a stop string
  for (const char byte : piece) {
    held_ += byte;
    longest = 0;
    for (Pattern& pattern : patterns_) {
      advance(pattern, byte);
      longest = std::max(longest, pattern.matched);
      if (pattern.matched == pattern.text.size()) has_matched_ = true;
    }
    if (has_matched_) break;
  }
  if (has_matched_) {
    // All patterns have read up to here, so that the longest of those that are complete can be told.
    std::size_t stop = 0;
    for (const Pattern& pattern : patterns_) {
      if (pattern.matched == pattern.text.size()) stop = std::max(stop, pattern.matched);
    }
    std::string shown = held_.substr(0, held_.size() - stop);
    held_.clear();
    return shown;
  }
  if (piece.empty()) return {};
  std::string shown = held_.substr(0, held_.size() - longest);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopMatcher::finish() {
  return std::exchange(held_, {});
}

}  // namespace lattice
