#include "text/added_token_finder.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lattice {
namespace {

struct Found {
  std::size_t begin;
  std::int32_t id;
  bool operator==(const Found&) const = default;
};

std::vector<Found> all_matches(const AddedTokenFinder& finder, std::string_view text) {
  std::vector<Found> found;
  for (std::size_t from = 0; from < text.size();) {
    const auto match = finder.find(text, from);
    if (match.id >= 0) found.push_back({match.begin, match.id});
    from = match.begin + match.length;
  }
  return found;
}

AddedTokenFinder finder_of(const std::vector<std::string>& tokens) {
  AddedTokenFinder finder;
  for (std::size_t i = 0; i < tokens.size(); ++i) finder.add(tokens[i], static_cast<std::int32_t>(i));
  finder.finish();
  return finder;
}

TEST(AddedTokenFinder, TakesTheLeftmostAndThenTheLongest) {
  const auto finder = finder_of({"<a>", "<a>b", "a>b", "<", "\xff"});
  EXPECT_EQ(all_matches(finder, "<a>bc"), (std::vector<Found>{{0, 1}}));
  EXPECT_EQ(all_matches(finder, "<a>c<<a"), (std::vector<Found>{{0, 0}, {4, 3}, {5, 3}}));
  EXPECT_EQ(all_matches(finder, "xa>b\xff"), (std::vector<Found>{{1, 2}, {4, 4}}));
  EXPECT_EQ(all_matches(finder, "none"), std::vector<Found>{});
  EXPECT_TRUE(finder_of({}).empty());
  EXPECT_EQ(all_matches(finder_of({}), "none"), std::vector<Found>{});
}

TEST(AddedTokenFinder, AgreesWithAPlainSearch) {
  std::mt19937 random(5);
  const auto random_string = [&](std::size_t longest) {
    std::string text;
    for (std::size_t i = 1 + random() % longest; i > 0; --i) text += static_cast<char>('a' + random() % 3);
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> tokens;
    while (tokens.size() < 1 + static_cast<std::size_t>(round) % 8) {
      const std::string token = random_string(5);
      if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
    }
    const std::string text = random_string(30);
    std::vector<Found> expected;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t best = tokens.size();
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (!text.substr(at).starts_with(tokens[i])) continue;
        if (best == tokens.size() || tokens[i].size() > tokens[best].size()) best = i;
      }
      if (best < tokens.size()) expected.push_back({at, static_cast<std::int32_t>(best)});
      at += best < tokens.size() ? tokens[best].size() : 1;
    }
    ASSERT_EQ(all_matches(finder_of(tokens), text), expected) << text;
  }
}

}  // namespace
}  // namespace lattice
