#include "lattice/sampling.hpp"

#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "lattice/error.hpp"

namespace lattice {
namespace {

std::string refusal_of(const Sampling& sampling) {
  try {
    sampling.check();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUsage);
    return error.what();
  }
  return {};
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Sampling, AllowsItsRanges) {
  EXPECT_EQ(refusal_of({}), "");
  EXPECT_EQ(refusal_of({.temperature = 100, .top_k = 1 << 30, .top_p = 1e-9f, .min_p = 0.999f}), "");
  EXPECT_EQ(refusal_of({.repetition_penalty = 1e-6f, .presence_penalty = -2, .frequency_penalty = 2}), "");
}

TEST(Sampling, NamesWhatIsOutOfRange) {
  EXPECT_EQ(refusal_of({.temperature = -0.5f}), "temperature is -0.5, not 0 or a positive number");
  EXPECT_EQ(refusal_of({.top_k = -1}), "top_k is -1, not 0 (all) or a positive number");
  EXPECT_EQ(refusal_of({.top_p = 0}), "top_p is 0, not above 0 and at most 1");
  EXPECT_EQ(refusal_of({.min_p = 1}), "min_p is 1, not at least 0 and below 1");
  EXPECT_EQ(refusal_of({.repetition_penalty = 0}), "repetition_penalty is 0, not a positive number");
  EXPECT_EQ(refusal_of({.presence_penalty = 2.5f}), "presence_penalty is 2.5, not between -2 and 2");
  EXPECT_EQ(refusal_of({.frequency_penalty = -3}), "frequency_penalty is -3, not between -2 and 2");
}

TEST(Sampling, TakesNothingThatIsNoNumber) {
  for (float Sampling::*field :
       {&Sampling::temperature, &Sampling::top_p, &Sampling::min_p, &Sampling::repetition_penalty,
        &Sampling::presence_penalty, &Sampling::frequency_penalty}) {
    for (const float value : {std::nanf(""), kInfinity, -kInfinity}) {
      Sampling sampling;
      sampling.*field = value;
      EXPECT_NE(refusal_of(sampling), "") << value;
    }
  }
}

}  // namespace
}  // namespace lattice
