#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/kernel_fixture.h"
#include "support/float16.h"

namespace lattice::cpu {
namespace {

constexpr std::int64_t kDims[] = {16, 48, 64, 240, 256};
constexpr std::int64_t kCounts[] = {0, 1, 2, 3, 5, 8, 67};
constexpr std::int64_t kMostHeads = 8;
constexpr float kUntouched = 99.0f;

float as_float(float x) {
  return x;
}
float as_float(std::uint16_t half) {
  return f16_to_f32(half);
}

class AttentionKernelTest : public KernelTest {
 protected:
  template <typename T>
  std::vector<T> rows(std::int64_t n) {
    const std::vector<float> values = floats(n);
    if constexpr (std::is_same_v<T, float>) return values;
    std::vector<T> out;
    for (const float x : values) out.push_back(static_cast<T>(f32_to_f16(x)));
    return out;
  }

  static void score(const float* q, std::int64_t heads, const float* k, std::int64_t count, std::int64_t d,
                    float* out, std::int64_t stride) {
    kernels().score_keys(q, heads, k, count, d, out, stride);
  }
  static void score(const float* q, std::int64_t heads, const std::uint16_t* k, std::int64_t count,
                    std::int64_t d, float* out, std::int64_t stride) {
    kernels().score_keys_f16(q, heads, k, count, d, out, stride);
  }
  static void add(const float* w, std::int64_t stride, std::int64_t heads, const float* v, std::int64_t count,
                  std::int64_t d, float* out) {
    kernels().add_values(w, stride, heads, v, count, d, out);
  }
  static void add(const float* w, std::int64_t stride, std::int64_t heads, const std::uint16_t* v,
                  std::int64_t count, std::int64_t d, float* out) {
    kernels().add_values_f16(w, stride, heads, v, count, d, out);
  }

  template <typename T>
  void expect_scores(std::int64_t heads, std::int64_t d, std::int64_t count) {
    const std::int64_t stride = count + whole(0, 3);
    const std::vector<float> queries = floats(heads * d);
    const std::vector<T> keys = rows<T>(count * d);
    std::vector<float> scores(static_cast<std::size_t>(heads * stride), kUntouched);
    score(queries.data(), heads, keys.data(), count, d, scores.data(), stride);
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t k = 0; k < stride; ++k) {
        const float got = scores[static_cast<std::size_t>(h * stride + k)];
        if (k >= count) {
          ASSERT_EQ(got, kUntouched);
          continue;
        }
        double exact = 0, magnitudes = 0;
        for (std::int64_t i = 0; i < d; ++i) {
          const double term = static_cast<double>(queries[static_cast<std::size_t>(h * d + i)]) *
                              as_float(keys[static_cast<std::size_t>(k * d + i)]);
          exact += term;
          magnitudes += std::abs(term);
        }
        ASSERT_NEAR(got, exact, sum_error(magnitudes, d)) << "head " << h << ", key " << k;
        float alone;
        score(queries.data() + h * d, 1, keys.data() + k * d, 1, d, &alone, 1);
        ASSERT_EQ(got, alone) << "head " << h << ", key " << k;
      }
    }
  }

  template <typename T>
  void expect_values(std::int64_t heads, std::int64_t d, std::int64_t count) {
    const std::int64_t stride = count + whole(0, 3);
    const std::vector<float> weights = floats(heads * stride, 0.0f, 1.0f);
    const std::vector<T> values = rows<T>(count * d);
    const std::vector<float> before = floats(heads * d);
    std::vector<float> out = before;
    add(weights.data(), stride, heads, values.data(), count, d, out.data());
    std::vector<float> one_by_one = before;
    for (std::int64_t k = 0; k < count; ++k)
      add(weights.data() + k, stride, heads, values.data() + k * d, 1, d, one_by_one.data());
    ASSERT_EQ(out, one_by_one);
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t i = 0; i < d; ++i) {
        const auto at = static_cast<std::size_t>(h * d + i);
        double exact = before[at];
        double magnitudes = std::abs(exact);
        for (std::int64_t k = 0; k < count; ++k) {
          const double term = static_cast<double>(weights[static_cast<std::size_t>(h * stride + k)]) *
                              as_float(values[static_cast<std::size_t>(k * d + i)]);
          exact += term;
          magnitudes += std::abs(term);
        }
        ASSERT_NEAR(out[at], exact, sum_error(magnitudes, count + 1)) << "head " << h << ", column " << i;
      }
    }
  }

  template <typename Check>
  void for_all_sizes(const Check& check) {
    for (std::int64_t heads = 1; heads <= kMostHeads; ++heads) {
      for (const std::int64_t d : kDims) {
        for (const std::int64_t count : kCounts) {
          SCOPED_TRACE(testing::Message() << heads << " heads, " << count << " rows of " << d);
          check(heads, d, count);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
};

/// And to the bit what a query and a key alone give: so the score depends on nothing else.
TEST_P(AttentionKernelTest, ScoresAreDotProducts) {
  for_all_sizes([&](auto... sizes) { expect_scores<float>(sizes...); });
  for_all_sizes([&](auto... sizes) { expect_scores<std::uint16_t>(sizes...); });
}

/// And to the bit what values one after the other give: so their sums do not depend on how they are cut.
TEST_P(AttentionKernelTest, ValuesAreAddedByWeight) {
  for_all_sizes([&](auto... sizes) { expect_values<float>(sizes...); });
  for_all_sizes([&](auto... sizes) { expect_values<std::uint16_t>(sizes...); });
}

/// What binary16 cannot hold must come out, not hide behind a weight of 0.
TEST_P(AttentionKernelTest, InfinitiesAndNaNsShow) {
  constexpr std::int64_t kDim = 16;
  std::vector<std::uint16_t> half(3 * kDim, f32_to_f16(1.0f));
  half[kDim] = f32_to_f16(1e6f);
  const std::vector<float> ones(kDim, 1.0f);
  std::vector<float> scores(3);
  kernels().score_keys_f16(ones.data(), 1, half.data(), 3, kDim, scores.data(), 3);
  EXPECT_EQ(scores[0], 16.0f);
  EXPECT_TRUE(std::isinf(scores[1]));
  EXPECT_EQ(scores[2], 16.0f);
  std::vector<float> out(kDim, 0.0f);
  const std::vector<float> weights = {1.0f, 0.0f, 1.0f};
  kernels().add_values_f16(weights.data(), 3, 1, half.data(), 3, kDim, out.data());
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_EQ(out[1], 2.0f);
}

INSTANTIATE_TEST_SUITE_P(Cpu, AttentionKernelTest, testing::ValuesIn(available_isas()), kernel_test_name);

}  // namespace
}  // namespace lattice::cpu
