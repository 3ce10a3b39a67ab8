#include "generate/philox.h"

#include <array>
#include <cstdint>

#include <gtest/gtest.h>

namespace lattice {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

// The known answers that Random123, the authors' own implementation, is distributed with (kat_vectors).
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // The digits of pi.
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, MakesUniformNumbersOfItsFirstWords) {
  EXPECT_EQ(uniform_at(0, 0), static_cast<double>(0x6627e8d5e169c58d >> 11) * 0x1p-53);
  EXPECT_NE(uniform_at(0, 1), uniform_at(1, 0));
  EXPECT_NE(uniform_at(std::uint64_t{1} << 32, 0), uniform_at(0, 0));
  EXPECT_NE(uniform_at(0, std::uint64_t{1} << 32), uniform_at(0, 0));
  double sum = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = uniform_at(7, static_cast<std::uint64_t>(i));
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  // The mean's standard deviation is 1 / √(12 · draws) = 0.0009.
  EXPECT_NEAR(sum / kDraws, 0.5, 0.004);
}

}  // namespace
}  // namespace lattice
