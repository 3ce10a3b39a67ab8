#include "model/value_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "formats/fixtures.h"
#include "quant/blocks.h"

namespace lattice {
namespace {

constexpr DType kStored[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0, DType::kQ4_0,
                             DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ2_K, DType::kQ3_K,
                             DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

/// Puts a NaN's bits at every place of a block in turn: the check must see it exactly where it makes a value
/// that is not finite.
TEST(RowIsFinite, KnowsWhereEveryFormatKeepsItsScales) {
  for (const DType type : kStored) {
    const auto bytes = static_cast<std::size_t>(block_bytes(type));
    const std::int64_t elements = block_elements(type);
    int found = 0;
    for (std::size_t at = 0; at + 2 <= bytes; at += 2) {
      std::vector<std::byte> block(bytes, std::byte{1});
      const std::uint16_t nan = 0x7fff;  // in F16, in BF16, and as the upper half of an F32
      std::memcpy(block.data() + at, &nan, sizeof nan);
      std::vector<float> values(static_cast<std::size_t>(elements));
      dequantize_blocks(type, block.data(), values);
      const bool finite = std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
      EXPECT_EQ(row_is_finite({type, 1, elements, block.data(), {}}, 0), finite)
          << dtype_name(type) << " at " << at;
      found += finite ? 0 : 1;
    }
    EXPECT_GE(found, 1) << dtype_name(type);
  }
}

TEST(RowIsFinite, LooksAtTheLastBlockAndAtNoOtherRow) {
  for (const DType type : kStored) {
    const auto bytes = static_cast<std::size_t>(block_bytes(type));
    constexpr std::int64_t kRows = 3, kBlocks = 5;
    const std::int64_t cols = kBlocks * block_elements(type);
    std::vector<std::byte> data(kRows * kBlocks * bytes, std::byte{1});
    const auto last_of_row_1 = data.begin() + static_cast<std::ptrdiff_t>((2 * kBlocks - 1) * bytes);
    std::fill_n(last_of_row_1, bytes, std::byte{0xff});
    const MatrixView matrix{type, kRows, cols, data.data(), {}};
    EXPECT_TRUE(row_is_finite(matrix, 0)) << dtype_name(type);
    EXPECT_FALSE(row_is_finite(matrix, 1)) << dtype_name(type);
    EXPECT_TRUE(row_is_finite(matrix, 2)) << dtype_name(type);
  }
}

/// However many threads look, the message is about the first.
TEST(CheckFinite, NamesTheFirstOfSeveral) {
  std::vector<float> values(4 << 20, 1.0f);  // several pieces
  const std::int64_t cols = 1024;
  const auto rows = static_cast<std::int64_t>(values.size()) / cols;
  const MatrixView matrix{DType::kF32, rows, cols, reinterpret_cast<const std::byte*>(values.data()), {}};
  const std::vector<NamedMatrix> matrices{{"one", matrix}, {"two", matrix}};
  check_finite("m", matrices);
  for (const std::size_t row : {4000u, 2500u, 1u}) {
    values[row * 1024 + 17] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(error_of([&] { check_finite("m", matrices); }),
              "m: tensor one has a value that is not finite in row " + std::to_string(row));
  }
}

}  // namespace
}  // namespace lattice
