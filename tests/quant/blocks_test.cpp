#include "quant/blocks.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lattice/error.hpp"

namespace lattice {
namespace {

std::vector<std::byte> fixture(const std::string& name) {
  std::ifstream file(std::string(LATTICE_SOURCE_DIR "/tests/data/quant/") + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> out(bytes.size());
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::vector<float> float_fixture(const std::string& name) {
  const auto bytes = fixture(name);
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

class BlockFormat : public testing::TestWithParam<DType> {};

TEST_P(BlockFormat, DequantisesAsTheReferenceDoes) {
  const std::string name(dtype_name(GetParam()));
  const auto blocks = fixture(name + ".blocks");
  const auto expected = float_fixture(name + ".f32");
  ASSERT_FALSE(expected.empty());
  const auto count = static_cast<std::int64_t>(blocks.size()) / block_bytes(GetParam());
  ASSERT_EQ(static_cast<std::int64_t>(expected.size()), count * block_elements(GetParam()));
  std::vector<float> actual(expected.size());
  dequantize_blocks(GetParam(), blocks.data(), actual);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(actual[i], expected[i]) << name << " element " << i;
}

INSTANTIATE_TEST_SUITE_P(All, BlockFormat,
                         testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                         DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K,
                                         DType::kQ6_K),
                         [](const auto& format) { return std::string(dtype_name(format.param)); });

class Quantiser : public testing::TestWithParam<DType> {};

TEST_P(Quantiser, RoundsAsTheReferenceDoes) {
  const std::string name(dtype_name(GetParam()));
  const auto in = float_fixture(name + ".in.f32");
  const auto expected = fixture(name + ".out");
  ASSERT_FALSE(expected.empty());
  std::vector<std::byte> actual(expected.size());
  quantize_blocks(GetParam(), in, actual.data());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(actual[i], expected[i]) << name << " byte " << i;
}

INSTANTIATE_TEST_SUITE_P(Written, Quantiser, testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kBF16),
                         [](const auto& format) { return std::string(dtype_name(format.param)); });

TEST(Quantiser, GivesZerosOrSaturatesWhereTheReferenceIsUndefined) {
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    std::vector<float> in(32, 1e-42f);  // 1/d overflows
    std::vector<float> out(32, 1.0f);
    std::vector<std::byte> block(static_cast<std::size_t>(block_bytes(dtype)));
    quantize_blocks(dtype, in, block.data());
    dequantize_blocks(dtype, block.data(), out);
    for (const float value : out) EXPECT_EQ(value, 0.0f) << dtype_name(dtype);

    in[5] = std::numeric_limits<float>::quiet_NaN();  // must not be undefined behaviour, whatever comes out
    quantize_blocks(dtype, in, block.data());
    in[6] = std::numeric_limits<float>::infinity();
    quantize_blocks(dtype, in, block.data());
  }
}

TEST(Quantiser, IgnoresTheSignOfZeroAsGgmlDoes) {
  std::vector<std::byte> plus(18);
  std::vector<std::byte> minus(18);
  quantize_blocks(DType::kQ4_0, std::vector<float>(32, 0.0f), plus.data());
  quantize_blocks(DType::kQ4_0, std::vector<float>(32, -0.0f), minus.data());
  EXPECT_EQ(plus, minus);
}

TEST(Quantiser, RefusesFormatsThatItDoesNotWrite) {
  const std::vector<float> in(256);
  std::vector<std::byte> out(256);
  EXPECT_THROW(quantize_blocks(DType::kQ4_K, in, out.data()), Error);
}

}  // namespace
}  // namespace lattice
