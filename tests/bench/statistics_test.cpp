#include "bench/statistics.h"

#include <gtest/gtest.h>

#include "bench/logits_hash.h"
#include "bench/roof.h"
#include "lattice/error.hpp"

namespace lattice::bench {
namespace {

TEST(Statistics, MedianOfOddAndEvenCounts) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(median({7}), 7);
  EXPECT_THROW((void)median({}), Error);
}

TEST(Statistics, SamplesKnowTheirSpread) {
  const Samples samples{{5, 1, 2, 3, 100}};
  EXPECT_EQ(samples.median(), 3);
  EXPECT_EQ(samples.mad(), 2);  // distances 2, 2, 1, 0, 97
  EXPECT_EQ(samples.min(), 1);
  EXPECT_EQ(samples.max(), 100);
}

TEST(Statistics, TheLineIsNotMovedByOneDisturbedMeasurement) {
  const std::vector<double> x = {0, 0, 512, 512, 4096, 4096, 16384, 16384};
  std::vector<double> y;
  for (const double context : x) y.push_back(0.010 + 2e-7 * context);
  y[3] *= 50;
  const Line line = theil_sen(x, y);
  EXPECT_NEAR(line.intercept, 0.010, 1e-9);
  EXPECT_NEAR(line.slope, 2e-7, 1e-13);
}

TEST(Statistics, ALineThroughOneContextIsLevel) {
  const std::vector<double> x = {5, 5};
  const std::vector<double> y = {1, 3};
  EXPECT_EQ(theil_sen(x, y).slope, 0);
  EXPECT_EQ(theil_sen(x, y).intercept, 2);
}

TEST(LogitsHash, ChangesWithEveryBitAndWithOrder) {
  const auto hash = [](std::vector<float> logits) {
    LogitsHash out;
    out.add(logits);
    return out.value();
  };
  EXPECT_EQ(hash({1.0f, 2.0f}), hash({1.0f, 2.0f}));
  EXPECT_NE(hash({1.0f, 2.0f}), hash({2.0f, 1.0f}));
  EXPECT_NE(hash({1.0f, 2.0f}), hash({1.0f, std::nextafter(2.0f, 3.0f)}));
  EXPECT_NE(hash({0.0f}), hash({-0.0f}));
}

TEST(LogitsHash, RefusesWhatIsNoNumber) {
  LogitsHash hash;
  const std::vector<float> logits = {1.0f, std::nanf("")};
  EXPECT_THROW(hash.add(logits), Error);
}

TEST(Roof, IsMeasured) {
  const Roof roof = measure_compute_roof(2, 0.05);
  EXPECT_EQ(roof.threads, 2);
  // Between what a slow emulator does and what no machine of two threads can.
  EXPECT_GT(roof.flop_per_second, 1e6);
  EXPECT_LT(roof.flop_per_second, 1e13);
  EXPECT_GT(roof.phase_seconds, 0);
  EXPECT_LT(roof.phase_seconds, 1);
}

}  // namespace
}  // namespace lattice::bench
