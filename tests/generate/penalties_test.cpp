#include "generate/penalties.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace lattice {
namespace {

using Logits = std::vector<float>;

Logits penalised(const Sampling& sampling, Logits logits, const std::vector<Token>& prompt,
                 const std::vector<Token>& generated) {
  Penalties penalties(sampling, static_cast<std::int64_t>(logits.size()));
  penalties.see_prompt(prompt);
  for (const Token token : generated) penalties.see_generated(token);
  penalties.apply(logits);
  return logits;
}

TEST(Penalties, AreInactiveByDefault) {
  EXPECT_FALSE(Penalties({}, 4).are_active());
  EXPECT_EQ(penalised({}, {1, -1}, {0}, {1, 1}), (Logits{1, -1}));
}

TEST(Penalties, RepetitionCountsPromptAndGeneratedOnceEach) {
  EXPECT_EQ(penalised({.repetition_penalty = 2}, {4, -4, 4, -4, 4}, {0, 0, 1}, {2, 2, 0}),
            (Logits{2, -8, 2, -4, 4}));
}

TEST(Penalties, PresenceAndFrequencyCountGeneratedTokensAlone) {
  EXPECT_EQ(penalised({.presence_penalty = 0.5f}, {4, 4, 4}, {0}, {1, 1}), (Logits{4, 3.5f, 4}));
  EXPECT_EQ(penalised({.frequency_penalty = 0.5f}, {4, 4, 4}, {0}, {1, 1, 2}), (Logits{4, 3, 3.5f}));
}

TEST(Penalties, RepetitionComesFirst) {
  const Sampling all{.repetition_penalty = 2, .presence_penalty = 0.5f, .frequency_penalty = 0.25f};
  EXPECT_EQ(penalised(all, {4, -4, 4}, {2}, {0, 0, 1}), (Logits{1, -8.75f, 2}));
}

TEST(Penalties, IgnoreIdsThatAreNotDrawn) {
  EXPECT_EQ(penalised({.repetition_penalty = 2}, {4, 4}, {2, 1'000'000, -1}, {3, 0}), (Logits{2, 4}));
}

TEST(Penalties, DoNotMakeInfinities) {
  constexpr float kMost = std::numeric_limits<float>::max();
  EXPECT_EQ(penalised({.repetition_penalty = 1e-38f}, {100, -100}, {0, 1}, {})[0], kMost);
  EXPECT_EQ(penalised({.repetition_penalty = 3e38f}, {100, -100}, {0, 1}, {})[1], -kMost);
}

TEST(Penalties, LeaveWhatIsNoNumber) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Logits out =
      penalised({.repetition_penalty = 2}, {kInfinity, -kInfinity, std::nanf("")}, {0, 1, 2}, {});
  EXPECT_EQ(out[0], kInfinity);
  EXPECT_EQ(out[1], -kInfinity);
  EXPECT_TRUE(std::isnan(out[2]));
}

}  // namespace
}  // namespace lattice
