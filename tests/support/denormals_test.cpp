#include "support/denormals.h"

#include <limits>

#include <gtest/gtest.h>

namespace lattice {
namespace {

float product(float x, float y) {
  volatile float value = x;  // so that the processor multiplies, and now
  return value * y;
}

TEST(FlushDenormals, TakesThemForZeroWhileItLives) {
  constexpr float kSmallest = std::numeric_limits<float>::min();
  EXPECT_EQ(product(kSmallest / 2, 4.0f), 2 * kSmallest);
#if defined(__x86_64__) || defined(__aarch64__)
  {
    const FlushDenormals flush;
    EXPECT_EQ(product(kSmallest, 0.5f), 0.0f);      // as a result
    EXPECT_EQ(product(kSmallest / 2, 4.0f), 0.0f);  // as an operand
    EXPECT_EQ(product(kSmallest, 2.0f), 2 * kSmallest);
  }
#endif
  EXPECT_EQ(product(kSmallest, 0.5f), kSmallest / 2);
}

}  // namespace
}  // namespace lattice
