#include "quant/dtype.h"

#include <gtest/gtest.h>

namespace lattice {
namespace {

TEST(DType, NamesComeBackInEitherCase) {
  for (int i = 0; i <= static_cast<int>(DType::kAffine); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(dtype_from_name("q8_0"), DType::kQ8_0);
  EXPECT_EQ(dtype_from_name("Q4_k"), DType::kQ4_K);
  EXPECT_EQ(dtype_from_name("q8"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
}

TEST(DType, BlocksCostWhatTheFormatsSay) {
  EXPECT_EQ(block_elements(DType::kQ8_0), 32);
  EXPECT_EQ(block_bytes(DType::kQ8_0), 34);
  EXPECT_EQ(block_bytes(DType::kQ4_0), 18);
  EXPECT_EQ(block_elements(DType::kQ4_K), 256);
  EXPECT_EQ(block_bytes(DType::kQ4_K) * 8, 4.5 * 256);
  EXPECT_EQ(block_bytes(DType::kQ6_K) * 8, 6.5625 * 256);
}

}  // namespace
}  // namespace lattice
