#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "generate/philox.h"
#include "generate/sampling_reference.h"
#include "lattice/error.hpp"

namespace lattice {
namespace {

/// Draws at many positions and holds each draw to the reference.
void expect_draws_as_by_reference(const Logits& logits, const Sampling& sampling, int draws) {
  const std::vector<double> expected = probabilities(logits, sampling);
  Sampler sampler(sampling, size_of(logits));
  for (int position = 0; position < draws; ++position) {
    const double u = uniform_at(sampling.seed, static_cast<std::uint64_t>(position));
    ASSERT_EQ(sampler.draw(logits, position), token_at(expected, u))
        << "at " << position << ": temperature " << sampling.temperature << ", top_k " << sampling.top_k
        << ", top_p " << sampling.top_p << ", min_p " << sampling.min_p << ", ids " << logits.size();
  }
}

TEST(Sampler, FiltersAsTheReferenceDoes) {
  std::mt19937 random(1);
  const auto one_of = [&](std::initializer_list<float> values) {
    return values.begin()[random() % values.size()];
  };
  for (int round = 0; round < 3000; ++round) {
    const std::size_t size = 1 + random() % (round % 50 == 0 ? 20'000 : 200);
    const Logits logits = random_logits(random, size, one_of({0.1f, 1, 4, 20}), random() % 2 == 0);
    const Sampling sampling{
        .temperature = one_of({0.05f, 0.7f, 1, 3}),
        .top_k = static_cast<std::int32_t>(random() % 3 == 0 ? 0 : 1 + random() % (size + 2)),
        .top_p = one_of({1, 0.01f, 0.5f, 0.9f, 0.95f, 0.999f}),
        .min_p = one_of({0, 0, 0.05f, 0.5f}),
        .seed = random()};
    expect_draws_as_by_reference(logits, sampling, 20);
  }
}

TEST(Sampler, FiltersTheRealVocabularyAsTheReferenceDoes) {
  std::mt19937 random(2);
  for (const bool with_ties : {false, true}) {
    const Logits logits = random_logits(random, 248'320, 3, with_ties);
    for (const Sampling& sampling :
         {Sampling{.temperature = 1}, Sampling{.temperature = 1, .top_k = 20, .top_p = 0.95f},
          Sampling{.temperature = 0.7f, .top_p = 0.8f},
          Sampling{.temperature = 1.5f, .top_k = 5000, .min_p = 0.01f},
          Sampling{.temperature = 1, .top_k = 200'000, .top_p = 0.999f}}) {
      expect_draws_as_by_reference(logits, sampling, 10);
    }
  }
}

TEST(Sampler, KeepsTheLowerIdsOfEqualLogits) {
  const Logits equal(10'000, 1.5f);
  for (const Sampling& sampling :
       {Sampling{.temperature = 1, .top_k = 3}, Sampling{.temperature = 1, .top_p = 0.00029f}}) {
    Sampler sampler(sampling, size_of(equal));
    std::vector<int> count(equal.size());
    for (int position = 0; position < 200; ++position) {
      ++count[static_cast<std::size_t>(sampler.draw(equal, position))];
    }
    EXPECT_TRUE(std::all_of(count.begin(), count.begin() + 3, [](int n) { return n > 0; }));
    EXPECT_EQ(count[0] + count[1] + count[2], 200);
  }
}

/// Pearson's test of 40,000 draws against the exact probabilities.
void expect_frequencies(const Logits& logits, const Sampling& sampling,
                        const std::vector<double>& probability, const std::vector<Token>& generated = {}) {
  constexpr int kDraws = 40'000;
  Sampler sampler(sampling, size_of(logits));
  for (const Token token : generated) sampler.see_generated(token);
  std::vector<int> count(logits.size());
  for (int position = 0; position < kDraws; ++position) {
    ++count[static_cast<std::size_t>(sampler.draw(logits, position))];
  }
  double chi_square = 0;
  double freedom = -1;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const double expected = probability[id] * kDraws;
    if (probability[id] == 0) {
      EXPECT_EQ(count[id], 0);
      continue;
    }
    ASSERT_GT(expected, 5);  // below, the statistic's distribution is another
    chi_square += (count[id] - expected) * (count[id] - expected) / expected;
    ++freedom;
  }
  // Wilson and Hilferty's approximation of the 99.9 % quantile.
  const double spread = 2 / (9 * freedom);
  const double limit = freedom * std::pow(1 - spread + 3.09 * std::sqrt(spread), 3);
  EXPECT_LT(chi_square, limit) << "with " << freedom << " degrees of freedom";
}

TEST(Sampler, DrawsWithTheRightFrequencies) {
  const Logits logits{0.5f, 2, -1, 1, 0, 1.75f, -0.25f, 1, 2.5f, 0.75f};
  for (const std::uint64_t seed : {0ULL, 1ULL, 0x123456789abcdefULL}) {
    for (const Sampling& sampling :
         {Sampling{.temperature = 1, .seed = seed}, Sampling{.temperature = 0.5f, .top_k = 6, .seed = seed},
          Sampling{.temperature = 2, .top_p = 0.7f, .seed = seed},
          Sampling{.temperature = 1, .top_k = 8, .top_p = 0.9f, .min_p = 0.2f, .seed = seed}}) {
      expect_frequencies(logits, sampling, probabilities(logits, sampling));
    }
  }
}

TEST(Sampler, PenalisesBeforeItFilters) {
  const Logits logits{2, 1, 0, -1};
  const Sampling sampling{
      .temperature = 0.5f, .top_k = 2, .presence_penalty = 0.75f, .frequency_penalty = 0.5f};
  expect_frequencies(logits, sampling, probabilities({0.25f, 1, 0, -1}, sampling), {0, 0});
}

TEST(Sampler, GreedyTakesTheLikeliestAndTheLowerIdOfTwo) {
  Sampler sampler({}, 5);
  EXPECT_EQ(sampler.draw(Logits{1, 3, -2, 3, 2}, 0), 1);
  EXPECT_EQ(sampler.draw(Logits{-5, -kInfinity, -3, -3, -4}, 1), 2);
  Logits many(100'000, -7);
  many[99'999] = -6.5f;
  EXPECT_EQ(Sampler({}, size_of(many)).draw(many, 0), 99'999);
  // In rows of 4,096 the later one is further to the left.
  many[3 * 4096 + 10] = many[2 * 4096 + 500] = many[50'000] = 1;
  EXPECT_EQ(Sampler({}, size_of(many)).draw(many, 0), 2 * 4096 + 500);
}

TEST(Sampler, GreedyHonoursPenalties) {
  Sampler sampler({.repetition_penalty = 2}, 3);
  const Logits logits{3, 2, 1};
  EXPECT_EQ(sampler.draw(logits, 0), 0);
  sampler.see_prompt(std::vector<Token>{0});
  EXPECT_EQ(sampler.draw(logits, 0), 1);
  sampler.see_generated(1);
  EXPECT_EQ(sampler.draw(logits, 0), 0);
}

TEST(Sampler, NeverDrawsPadding) {
  const Logits logits{0, 1, 2, 100, 100};
  EXPECT_EQ(Sampler({}, 3).draw(logits, 0), 2);
  Sampler sampler({.temperature = 100}, 3);
  for (int position = 0; position < 1000; ++position) EXPECT_LT(sampler.draw(logits, position), 3);
  EXPECT_NO_THROW((void)sampler.draw(Logits{0, 1, 2, std::nanf(""), kInfinity}, 0));
}

TEST(Sampler, NeverDrawsWhatIsExcluded) {
  const Logits logits{-kInfinity, 0, -kInfinity, 0.5f};
  for (const std::int32_t top_k : {0, 1, 2, 3, 4}) {
    Sampler sampler({.temperature = 50, .top_k = top_k}, 4);
    for (int position = 0; position < 200; ++position) EXPECT_EQ(sampler.draw(logits, position) % 2, 1);
  }
}

TEST(Sampler, HoldsAtTheEdgesOfItsParameters) {
  const Logits logits{1, 2, 3, 2.9999998f};
  EXPECT_EQ(Sampler({.temperature = 1e-38f}, 4).draw(logits, 0), 2);
  EXPECT_EQ(Sampler({.temperature = 1, .top_p = 1e-30f}, 4).draw(logits, 0), 2);
  EXPECT_EQ(Sampler({.temperature = 1, .top_k = 1}, 4).draw(logits, 3), 2);
  EXPECT_EQ(Sampler({.temperature = 1, .top_k = 2'000'000'000, .min_p = 0.9999999f}, 1).draw(logits, 0), 0);
  const Logits extreme{-3e38f, 3e38f};  // their difference overflows a float
  EXPECT_EQ(Sampler({.temperature = 3e38f, .top_p = 0.5f}, 2).draw(extreme, 0), 1);
}

TEST(Sampler, DependsOnSeedAndPositionAlone) {
  std::mt19937 random(3);
  const Logits logits = random_logits(random, 1000, 1, false);
  const Sampling sampling{.temperature = 1, .top_k = 500, .top_p = 0.99f, .seed = 42};
  Sampler forwards(sampling, 1000);
  Sampler backwards(sampling, 1000);
  std::vector<Token> tokens(200);
  for (int i = 0; i < 200; ++i) tokens[static_cast<std::size_t>(i)] = forwards.draw(logits, i);
  for (int i = 199; i >= 0; --i) ASSERT_EQ(backwards.draw(logits, i), tokens[static_cast<std::size_t>(i)]);
  Sampling other = sampling;
  other.seed = 43;
  Sampler differently(other, 1000);
  int equal = 0;
  for (int i = 0; i < 200; ++i)
    equal += differently.draw(logits, i) == tokens[static_cast<std::size_t>(i)] ? 1 : 0;
  EXPECT_LT(equal, 20);
}

std::string error_of(const Logits& logits, const Sampling& sampling) {
  try {
    (void)Sampler(sampling, size_of(logits)).draw(logits, 0);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(Sampler, RefusesLogitsThatAreNoNumbers) {
  for (const Sampling& sampling : {Sampling{}, Sampling{.temperature = 1, .top_k = 2}}) {
    EXPECT_TRUE(error_of({0, std::nanf(""), 1}, sampling).starts_with("the model's logit of token 1 is nan"));
    EXPECT_TRUE(error_of({0, 1, kInfinity}, sampling).starts_with("the model's logit of token 2 is inf"));
    EXPECT_EQ(error_of({-kInfinity, -kInfinity}, sampling), "no token is left to draw: all logits are -inf");
  }
  Logits late(10'000, 0);
  late.back() = std::nanf("");
  EXPECT_NE(error_of(late, {}), "");
}

TEST(Sampler, ChecksItsParameters) {
  EXPECT_THROW(Sampler({.temperature = -1}, 4), Error);
  EXPECT_THROW(Sampler({}, 0), Error);
}

}  // namespace
}  // namespace lattice
