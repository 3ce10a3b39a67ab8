#include "support/float16.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace lattice {
namespace {

/// The value of a binary16 pattern from its definition, in double.
double f16_by_definition(std::uint16_t h) {
  const double sign = (h & 0x8000) ? -1.0 : 1.0;
  const int exponent = (h >> 10) & 0x1f;
  const int mantissa = h & 0x3ff;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

bool is_nan_pattern(std::uint16_t h) {
  return (h & 0x7c00) == 0x7c00 && (h & 0x3ff) != 0;
}

TEST(Float16, EveryPatternDecodesByDefinitionAndComesBack) {
  for (std::uint32_t i = 0; i <= 0xffff; ++i) {
    const auto h = static_cast<std::uint16_t>(i);
    const float value = f16_to_f32(h);
    if (is_nan_pattern(h)) {
      EXPECT_TRUE(std::isnan(value)) << i;
      EXPECT_TRUE(is_nan_pattern(f32_to_f16(value))) << i;
      continue;
    }
    if ((h & 0x7fff) == 0x7c00) {
      EXPECT_TRUE(std::isinf(value)) << i;
    } else {
      EXPECT_EQ(value, f16_by_definition(h)) << i;
    }
    EXPECT_EQ(f32_to_f16(value), h) << i;
  }
}

TEST(Float16, RoundsToNearestTiesToEven) {
  for (std::uint32_t i = 0; i < 0x7bff; ++i) {
    const auto low = static_cast<std::uint16_t>(i);
    const auto high = static_cast<std::uint16_t>(i + 1);
    const float middle = 0.5f * (f16_to_f32(low) + f16_to_f32(high));  // exact: 12 significant bits
    EXPECT_EQ(f32_to_f16(middle), (i & 1) ? high : low) << i;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low) << i;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), high) << i;
    EXPECT_EQ(f32_to_f16(-middle), ((i & 1) ? high : low) | 0x8000) << i;
  }
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
}

TEST(BFloat16, EveryPatternComesBackAndTiesGoToEven) {
  for (std::uint32_t i = 0; i <= 0xffff; ++i) {
    const auto b = static_cast<std::uint16_t>(i);
    const float value = bf16_to_f32(b);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(value)))) << i;
    } else {
      EXPECT_EQ(f32_to_bf16(value), b) << i;
    }
  }
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace lattice
