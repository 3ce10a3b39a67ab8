#include "generate/stop_matcher.h"

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "lattice/error.hpp"
#include "support/utf8.h"

namespace lattice {
namespace {

using Strings = std::vector<std::string>;

/// The text before the stop string that is complete first, by looking at every end; nothing where there is
/// none.
std::optional<std::string> cut_naively(const std::string& text, const Strings& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest != 0) return text.substr(0, end - longest);
  }
  return std::nullopt;
}

/// Whether `text` ends with the beginning of a stop string that is at least `length` bytes long.
bool ends_with_beginning(const std::string& text, const Strings& stops, std::size_t length) {
  return std::any_of(stops.begin(), stops.end(), [&](const std::string& stop) {
    for (std::size_t n = length; n <= std::min(stop.size(), text.size()); ++n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) return true;
    }
    return false;
  });
}

TEST(StopMatcher, PassesEverythingOnWithoutStopStrings) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("any text\n"), "any text\n");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.has_matched());
}

TEST(StopMatcher, FindsAStopStringAcrossPieces) {
  StopMatcher matcher({"###"});
  EXPECT_EQ(matcher.push("one#"), "one");
  EXPECT_EQ(matcher.push("two##"), "#two");
  EXPECT_FALSE(matcher.has_matched());
  EXPECT_EQ(matcher.push("#three"), "");
  EXPECT_TRUE(matcher.has_matched());
  EXPECT_EQ(matcher.push("four"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, GivesBackWhatItHeldAtTheEnd) {
  StopMatcher matcher({"stop"});
  EXPECT_EQ(matcher.push("a sto"), "a ");
  EXPECT_EQ(matcher.push(""), "");
  EXPECT_EQ(matcher.finish(), "sto");
}

TEST(StopMatcher, TakesTheLongestOfThoseThatEndTogether) {
  StopMatcher matcher({"b", "ab", "xab"});
  EXPECT_EQ(matcher.push("1ab"), "1");
  StopMatcher first({"abcd", "bc"});  // "bc" is complete first
  EXPECT_EQ(first.push("abcd"), "a");
  EXPECT_TRUE(first.has_matched());
}

TEST(StopMatcher, HoldsNoMoreThanItMust) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.push("aaaa"), "aa");
  EXPECT_EQ(matcher.push("c"), "aac");
}

/// Any text, any stop strings, any cut: the same as the search over the whole text, and at every moment only
/// that is held back which may still become a stop string.
TEST(StopMatcher, AgreesWithTheNaiveSearchHoweverTheTextIsCut) {
  const Strings letters{"a", "b", "é", "日", "\xc3\x83"};  // é and Ã begin with the same byte
  std::mt19937 random(1);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const auto word = [&](std::size_t least, std::size_t most, std::size_t alphabet) {
    std::string out;
    for (std::size_t n = least + below(most - least + 1); n > 0; --n) out += letters[below(alphabet)];
    return out;
  };
  int matches = 0;
  for (int round = 0; round < 20'000; ++round) {
    // Every other round: long stop strings of two letters, with borders within borders, and texts made of
    // their parts, so that the search must fall back through them.
    const bool is_periodic = round % 2 != 0;
    Strings stops;
    for (std::size_t n = 1 + below(3); n > 0; --n) {
      stops.push_back(is_periodic ? word(5, 8, 2) : word(1, 4, letters.size()));
    }
    Strings pieces;
    for (std::size_t n = 0; n < 5; ++n) {
      const std::string& stop = stops[below(stops.size())];
      pieces.push_back(is_periodic ? stop.substr(below(stop.size()), below(stop.size()))
                                   : word(0, 6, letters.size()));
    }
    StopMatcher matcher(stops);
    std::string text;
    std::string shown;
    for (const std::string& piece : pieces) {
      text += piece;
      const std::string more = matcher.push(piece);
      EXPECT_TRUE(is_utf8(more));
      shown += more;
      if (matcher.has_matched()) break;
      ASSERT_TRUE(text.starts_with(shown));
      const std::size_t held = text.size() - shown.size();
      ASSERT_TRUE(held == 0 || ends_with_beginning(text, stops, held));
      ASSERT_FALSE(ends_with_beginning(text, stops, held + 1));
    }
    const std::optional<std::string> expected = cut_naively(text, stops);
    ASSERT_EQ(matcher.has_matched(), expected.has_value());
    shown += matcher.finish();
    ASSERT_EQ(shown, expected.value_or(text));
    matches += expected ? 1 : 0;
  }
  EXPECT_GT(matches, 1000);
  EXPECT_LT(matches, 19'000);
}

std::string error_of(const Strings& stops) {
  try {
    const StopMatcher matcher(stops);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUsage);
    return error.what();
  }
  return {};
}

TEST(StopMatcher, RefusesWhatCannotBeMeant) {
  EXPECT_EQ(error_of({"a", ""}), "a stop string is empty");
  EXPECT_EQ(error_of({"\xff"}), "the stop string \"\\xff\" is not UTF-8");
  EXPECT_EQ(error_of({std::string(1025, 'x')}), "a stop string has 1025 bytes; at most 1024 are taken");
  EXPECT_EQ(error_of({std::string(1024, 'x')}), "");
  EXPECT_EQ(error_of(Strings(65, "x")), "65 stop strings were given; at most 64 are taken");
}

}  // namespace
}  // namespace lattice
