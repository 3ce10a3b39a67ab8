#include "generate/prompt_lookup.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace lattice {
namespace {

using Ids = std::vector<Token>;

Ids guess(const Ids& text, std::int64_t most) {
  PromptLookup lookup;
  const std::span<const Token> out = lookup.guess(text, most);
  return {out.begin(), out.end()};
}

TEST(PromptLookup, KnowsNothingOfATextWithoutRepeats) {
  EXPECT_EQ(guess({}, 4), Ids());
  EXPECT_EQ(guess({7}, 4), Ids());
  EXPECT_EQ(guess({7, 7}, 4), Ids());
  EXPECT_EQ(guess({1, 2, 3, 4, 5}, 4), Ids());
  EXPECT_EQ(guess({1, 2, 3, 4, 2}, 4), Ids()) << "one token alone says nothing";
}

TEST(PromptLookup, GoesOnAsTheTextWentOnBefore) {
  EXPECT_EQ(guess({1, 2, 3, 4, 5, 1, 2}, 2), Ids({3, 4}));
  EXPECT_EQ(guess({1, 2, 3, 4, 5, 1, 2}, 1), Ids({3}));
  EXPECT_EQ(guess({1, 2, 3, 4, 5, 1, 2}, 0), Ids());
}

TEST(PromptLookup, TakesTheLongestRunAndOfEqualOnesTheLatest) {
  EXPECT_EQ(guess({1, 2, 3, 50, 9, 2, 3, 60, 9, 1, 2, 3}, 1), Ids({50}));
  EXPECT_EQ(guess({8, 2, 3, 50, 9, 2, 3, 60, 7, 1, 2, 3}, 1), Ids({60}));
}

TEST(PromptLookup, GoesRoundInCircles) {
  EXPECT_EQ(guess({4, 5, 6, 4, 5, 6, 4, 5}, 7), Ids({6, 4, 5, 6, 4, 5, 6}));
  EXPECT_EQ(guess({3, 3, 3}, 5), Ids({3, 3, 3, 3, 3}));
}

/// Held to the definition, written down plainly.
TEST(PromptLookup, IsTheDefinition) {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    Ids text(std::uniform_int_distribution<std::size_t>(1, 60)(random));
    for (Token& token : text) token = std::uniform_int_distribution<Token>(0, round % 3 + 1)(random);
    Ids expected;
    for (auto length = static_cast<std::size_t>(PromptLookup::kLongestRun); length >= 2; --length) {
      if (length >= text.size()) continue;
      const Ids run(text.end() - static_cast<std::ptrdiff_t>(length), text.end());
      for (std::size_t at = text.size() - length; at-- > 0 && expected.empty();) {
        if (!std::equal(run.begin(), run.end(), text.begin() + static_cast<std::ptrdiff_t>(at))) continue;
        Ids whole = text;
        for (std::size_t i = 0; i < 5; ++i) whole.push_back(whole[at + length + i]);
        expected.assign(whole.end() - 5, whole.end());
      }
      if (!expected.empty()) break;
    }
    EXPECT_EQ(guess(text, 5), expected) << "round " << round;
  }
}

}  // namespace
}  // namespace lattice
