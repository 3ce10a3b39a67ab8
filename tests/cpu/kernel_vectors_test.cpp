#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/kernel_fixture.h"
#include "support/float16.h"

namespace lattice::cpu {
namespace {

class VectorTest : public KernelTest {
 protected:
  std::vector<std::uint16_t> halves(const std::vector<float>& values) {
    std::vector<std::uint16_t> out;
    for (const float x : values) out.push_back(f32_to_f16(x));
    return out;
  }
};

constexpr std::int64_t kLengths[] = {16, 32, 48, 128, 256, 272};

struct Quantised {
  std::vector<std::int8_t> quants;
  std::vector<float> scales;
  std::vector<std::int32_t> totals;
  std::vector<std::int32_t> halves;
};

Quantised quantise(const Kernels& kernels, const std::vector<float>& values) {
  const std::size_t blocks = values.size() / kBlock;
  Quantised out{std::vector<std::int8_t>(values.size(), 99), std::vector<float>(blocks, 99),
                std::vector<std::int32_t>(blocks, 99), std::vector<std::int32_t>(blocks, 99)};
  kernels.quantize(values.data(), static_cast<std::int64_t>(blocks), out.quants.data(), out.scales.data(),
                   out.totals.data(), out.halves.data());
  return out;
}

TEST_P(VectorTest, QuantizeRoundsToTheNearestStep) {
  std::vector<float> values;
  for (const float size : {1e-30f, 1e-3f, 1.0f, 1e30f, 1e38f}) {
    const std::vector<float> block = floats(2 * kBlock, -size, size);
    values.insert(values.end(), block.begin(), block.end());
  }
  const Quantised result = quantise(kernels(), values);
  for (std::size_t b = 0; b < result.scales.size(); ++b) {
    float highest = 0;
    std::int32_t total = 0;
    std::int32_t half = 0;
    for (std::size_t i = b * kBlock; i < (b + 1) * kBlock; ++i)
      highest = std::max(highest, std::fabs(values[i]));
    EXPECT_EQ(result.scales[b], highest / 127.0f);
    for (std::size_t i = b * kBlock; i < (b + 1) * kBlock; ++i) {
      total += result.quants[i];
      if (i % kBlock < kBlock / 2) half += result.quants[i];
      // Half a step, and the roundings of the scale, its reciprocal and the product: 3 · 2⁻²⁴ · 127.
      EXPECT_LE(std::abs(static_cast<double>(values[i]) / result.scales[b] - result.quants[i]), 0.5 + 3e-5);
      EXPECT_GE(result.quants[i], -127);
    }
    EXPECT_EQ(result.totals[b], total);
    EXPECT_EQ(result.halves[b], half);
  }
}

TEST_P(VectorTest, QuantizeDefinesBlocksThatAreZeroTinyOrNoNumbers) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values(6 * kBlock, 0.0f);
  std::fill_n(values.begin() + kBlock, kBlock, 1e-41f);  // whose reciprocal is infinite
  values[2 * kBlock + 31] = kNaN;
  values[3 * kBlock] = -kInfinity;
  std::fill_n(values.begin() + 4 * kBlock, kBlock, kNaN);
  std::fill_n(values.begin() + 5 * kBlock, kBlock, -2.0f);
  const Quantised result = quantise(kernels(), values);
  EXPECT_TRUE(std::all_of(result.quants.begin(), result.quants.end() - kBlock, [](int q) { return q == 0; }));
  EXPECT_EQ(result.scales[0], 0.0f);
  EXPECT_EQ(result.scales[1], 0.0f);
  for (const std::size_t b : {2, 3, 4}) EXPECT_TRUE(std::isnan(result.scales[b])) << b;
  EXPECT_TRUE(
      std::all_of(result.quants.end() - kBlock, result.quants.end(), [](int q) { return q == -127; }));
  EXPECT_EQ(result.totals, (std::vector<std::int32_t>{0, 0, 0, 0, 0, -127 * 32}));
  EXPECT_EQ(result.halves, (std::vector<std::int32_t>{0, 0, 0, 0, 0, -127 * 16}));
}

TEST_P(VectorTest, DotAndAxpy) {
  for (const std::int64_t n : kLengths) {
    const std::vector<float> a = floats(n);
    const std::vector<float> b = floats(n);
    double exact = 0, magnitudes = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      exact += static_cast<double>(a[i]) * b[i];
      magnitudes += std::abs(a[i]);  // of b's 1 at most
    }
    EXPECT_NEAR(kernels().dot(a.data(), b.data(), n), exact, sum_error(magnitudes, n)) << n;

    const float factor = uniform(-3.0f, 3.0f);
    std::vector<float> y = a;
    kernels().axpy(factor, b.data(), y.data(), n);
    for (std::size_t i = 0; i < a.size(); ++i)  // a product and a sum, of magnitude 4 at most
      EXPECT_NEAR(y[i], static_cast<double>(factor) * b[i] + a[i], 2 * 4 * kRounding);
  }
}

TEST_P(VectorTest, HalvesAreRoundedAsTheFormatSays) {
  std::vector<float> values = floats(240, -70000.0f, 70000.0f);
  for (const float x :
       {0.0f, -0.0f, 65519.0f, 65520.0f, 0x1p-14f, 0x1.8p-24f, 0x1p-25f, 0x1.002p0f, 0x1.006p0f, 1e-30f,
        std::numeric_limits<float>::infinity(), -1e38f, 1.0f, 2.0f, 3.0f, 4.0f})
    values.push_back(x);
  ASSERT_EQ(values.size(), 256u);
  std::vector<std::uint16_t> half(256);
  std::vector<float> back(256);
  kernels().to_f16(values.data(), half.data(), 256);
  kernels().from_f16(half.data(), back.data(), 256);
  for (std::size_t i = 0; i < 256; ++i) {
    EXPECT_EQ(half[i], f32_to_f16(values[i])) << values[i];
    EXPECT_EQ(std::bit_cast<std::uint32_t>(back[i]), std::bit_cast<std::uint32_t>(f16_to_f32(half[i])));
  }
}

// eˣ is good to 2 ulp, of which the vector forms' reduction by ln 2 in two parts takes one; it is followed by
// an addition, a division and a multiplication, of half an ulp each. In units of half an ulp: 4 + 3, and one
// to spare.
constexpr double kExpError = 4 * kRounding;
constexpr double kSiluError = 8 * kRounding;

double silu(double x) {
  return x / (1.0 + std::exp(-x));
}

TEST_P(VectorTest, SiluAndSwiglu) {
  constexpr double kTiny = std::numeric_limits<float>::min();
  for (const std::int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 33, 100}) {
    std::vector<float> x = floats(n, -20.0f, 20.0f);
    const float extremes[] = {-85.0f, -200.0f, 60.0f, 1e30f, -1e30f, 0.0f, -1e-30f};
    for (std::size_t i = 0; i < std::min<std::size_t>(x.size() / 2, std::size(extremes)); ++i)
      x[x.size() - 1 - i] = extremes[i];
    std::vector<float> result = x;
    result.push_back(77.0f);
    kernels().silu(result.data(), n);
    EXPECT_EQ(result.back(), 77.0f);
    const std::vector<float> up = floats(n);
    std::vector<float> pairs;
    for (std::size_t i = 0; i < x.size(); ++i) pairs.insert(pairs.end(), {x[i], up[i]});
    std::vector<float> gated(x.size() + 1, 77.0f);
    kernels().swiglu_pairs(pairs.data(), gated.data(), n);
    EXPECT_EQ(gated.back(), 77.0f);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = x[i] < -1e3f ? 0.0 : silu(x[i]);
      // Below −85 the denominator may be cut off at e^88.
      const double tolerance =
          kSiluError * std::abs(exact) + (x[i] <= -85.0f ? 200 * std::exp(-85.0) : kTiny);
      EXPECT_NEAR(result[i], exact, x[i] < -1e3f ? 1e-7 : tolerance) << x[i];
      EXPECT_NEAR(gated[i], exact * up[i], x[i] < -1e3f ? 1e-7 : tolerance + kTiny) << x[i];
    }
  }
  std::vector<float> bad(20, std::numeric_limits<float>::quiet_NaN());
  kernels().silu(bad.data(), 20);
  EXPECT_TRUE(std::all_of(bad.begin(), bad.end(), [](float v) { return std::isnan(v); }));
}

TEST_P(VectorTest, Convolve) {
  for (const std::int64_t taps : {1, 2, 3, 4, 7}) {
    for (const std::int64_t n : kLengths) {
      const std::int64_t stride = n + 3;
      const std::vector<float> weights = floats(taps * stride);
      const std::vector<float> inputs = floats(taps * n, -8.0f, 8.0f);
      std::vector<const float*> rows;
      for (std::int64_t t = 0; t < taps; ++t) rows.push_back(inputs.data() + t * n);
      std::vector<float> out(static_cast<std::size_t>(n) + 1, 77.0f);
      kernels().convolve(rows.data(), weights.data(), stride, taps, out.data(), n);
      EXPECT_EQ(out.back(), 77.0f);
      for (std::int64_t i = 0; i < n; ++i) {
        double sum = 0;
        double magnitudes = 0;
        for (std::int64_t t = 0; t < taps; ++t) {
          const double term = static_cast<double>(weights[static_cast<std::size_t>(t * stride + i)]) *
                              rows[static_cast<std::size_t>(t)][i];
          sum += term;
          magnitudes += std::abs(term);
        }
        // silu is nowhere steeper than 1.1.
        EXPECT_NEAR(out[static_cast<std::size_t>(i)], silu(sum),
                    1.1 * sum_error(magnitudes, taps) + kSiluError * std::abs(silu(sum)))
            << taps << " taps, " << i << " of " << n;
      }
    }
  }
}

TEST_P(VectorTest, ExpSum) {
  for (const std::int64_t n : {1, 5, 8, 16, 23, 64, 131}) {
    std::vector<float> x = floats(n, -40.0f, 40.0f);
    x.back() = -3000.0f;
    const float factor = 0.0625f;
    const float shift = 2.5f;
    std::vector<float> result = x;
    const float sum = kernels().exp_sum(result.data(), factor, shift, n);
    double exact_sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exponent = static_cast<double>(x[i]) * factor - shift;
      const double exact = exponent < -87 ? 0 : std::exp(exponent);
      // The exponent is rounded twice, to half an ulp of at most 8: an error of e^x by 2 · 2⁻²¹ of itself.
      EXPECT_NEAR(result[i], exact, (kExpError + 16 * kRounding) * exact) << x[i];
      exact_sum += exact;
    }
    EXPECT_EQ(result.back(), 0.0f);
    EXPECT_NEAR(sum, exact_sum, (kExpError + 16 * kRounding) * exact_sum + sum_error(exact_sum, n));
  }
  std::vector<float> bad(37, 0.0f);
  bad[20] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(kernels().exp_sum(bad.data(), 1.0f, 0.0f, 37)));
  EXPECT_EQ(bad[21], 1.0f);
}

TEST_P(VectorTest, LargestIsThereWhereverItStands) {
  for (const std::int64_t n : {1, 2, 5, 8, 15, 16, 17, 33, 64}) {
    std::vector<float> x = floats(n, -9.0f, -1.0f);
    x.push_back(5.0f);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const float before = x[i];
      x[i] = -0.5f;
      EXPECT_EQ(kernels().largest(x.data(), n), -0.5f) << i << " of " << n;
      x[i] = before;
    }
  }
}

struct MatrixShape {
  std::int64_t m, n, k;
};

/// A product with an operand's rows or columns side by side, and what a float64 sum says of it.
struct MatrixCase {
  MatrixShape shape;
  bool a_turned;  // columns of a side by side
  bool b_turned;
  bool keep;
  Causal causal = Causal::kNo;
  std::int64_t group = 1;
};

class MatrixTest : public KernelTest {
 protected:
  static constexpr std::int64_t kGap = 3;  // between what stands side by side

  struct Matrix {
    std::vector<float> numbers;
    Operand view;
    [[nodiscard]] double at(std::int64_t i, std::int64_t j) const {
      return view.data[i * view.row + j * view.column];
    }
  };
  /// Of exactly as many numbers as it needs: a sanitizer sees what is read past it.
  Matrix matrix(std::int64_t rows, std::int64_t cols, bool turned) {
    const std::int64_t stride = (turned ? rows : cols) + kGap;
    Matrix out{floats(((turned ? cols : rows) - 1) * stride + (turned ? rows : cols)), {}};
    out.view = turned ? Operand{out.numbers.data(), 1, stride} : Operand{out.numbers.data(), stride};
    return out;
  }

  void check(const MatrixCase& it) {
    const auto [m, n, k] = it.shape;
    Matrix a = matrix(m, k, it.a_turned);
    const Matrix b = matrix(k, n, it.b_turned);
    if (it.causal == Causal::kTerms) {
      for (std::int64_t row = 0; row < m; ++row) {
        for (std::int64_t i = row / it.group + 1; i < k; ++i)
          a.numbers[static_cast<std::size_t>(row * a.view.row + i * a.view.column)] = 0.0f;
      }
    }
    const std::int64_t room = (n + 15) / 16 * 16;
    const std::int64_t c_stride = room + 1;
    const std::vector<float> before = floats(m * c_stride);
    const std::vector<float> keep = floats(m);
    std::vector<float> c = before;
    kernels().matmul({.a = a.view,
                      .b = b.view,
                      .c = c.data(),
                      .c_stride = c_stride,
                      .m = m,
                      .n = n,
                      .k = k,
                      .keep = it.keep ? keep.data() : nullptr,
                      .causal = it.causal,
                      .group = it.group});
    for (std::int64_t row = 0; row < m; ++row) {
      ASSERT_EQ(c[static_cast<std::size_t>(row * c_stride + room)],
                before[static_cast<std::size_t>(row * c_stride + room)])
          << "outside of c";
      const std::int64_t needed = it.causal == Causal::kSums ? std::min(n, row / it.group + 1) : n;
      for (std::int64_t column = 0; column < needed; ++column) {
        const auto at = static_cast<std::size_t>(row * c_stride + column);
        double exact = it.keep ? static_cast<double>(keep[static_cast<std::size_t>(row)]) * before[at] : 0;
        double magnitudes = std::abs(exact);
        for (std::int64_t i = 0; i < k; ++i) {
          const double term = a.at(row, i) * b.at(i, column);
          exact += term;
          magnitudes += std::abs(term);
        }
        ASSERT_NEAR(c[at], exact, sum_error(magnitudes, k + 1))
            << m << " x " << n << " x " << k << " at " << row << ", " << column;
      }
    }
  }
};

// Tiles of every height, panels of every width, their tails, and terms for more than one panel.
TEST_P(MatrixTest, ProductsWhateverTheShape) {
  for (const MatrixShape& shape : {MatrixShape{1, 16, 1},
                                   {5, 32, 7},
                                   {6, 48, 64},
                                   {13, 16, 3},
                                   {17, 80, 33},
                                   {64, 128, 64},
                                   {9, 37, 40},
                                   {25, 64, 300},
                                   {2, 1, 9},
                                   {23, 23, 23},
                                   {96, 15, 17}}) {
    for (const bool a_turned : {false, true}) {
      for (const bool b_turned : {false, true}) {
        for (const bool keep : {false, true}) check({shape, a_turned, b_turned, keep});
      }
    }
  }
  for (std::int64_t m = 1; m <= 26; ++m) check({{m, 48, 5}, false, false, true});
}

TEST_P(MatrixTest, CausalProductsHaveWhatIsNeeded) {
  for (const std::int64_t tokens : {1, 2, 9, 16, 31, 64, 150}) {
    for (const std::int64_t group : {1, 2, 3}) {
      check({{tokens * group, tokens, 24}, false, true, false, Causal::kSums, group});
      for (const bool keep : {false, true})
        check({{tokens * group, 48, tokens}, false, false, keep, Causal::kTerms, group});
    }
  }
}

TEST_P(MatrixTest, SolveLeavesAResidualOfItsRoundings) {
  for (const std::int64_t m : {1, 2, 3, 5, 6, 7, 16, 17, 64, 101, 128}) {
    for (const std::int64_t n : {16, 32, 48, 80, 128}) {
      const std::int64_t l_stride = m + 2, x_stride = n + 1;
      // Rows whose magnitudes sum up to 1 at most, so that solutions do not grow from row to row.
      std::vector<float> l =
          floats(m * l_stride, -1.0f / static_cast<float>(m), 1.0f / static_cast<float>(m));
      for (std::int64_t i = 0; i < m; ++i) {  // what must not be read
        for (std::int64_t j = i; j < l_stride; ++j)
          l[static_cast<std::size_t>(i * l_stride + j)] = std::numeric_limits<float>::quiet_NaN();
      }
      const std::vector<float> before = floats(m * x_stride);
      std::vector<float> x = before;
      kernels().solve(l.data(), l_stride, x.data(), x_stride, m, n);
      for (std::int64_t row = 0; row < m; ++row) {
        for (std::int64_t column = 0; column < x_stride; ++column) {
          const auto at = static_cast<std::size_t>(row * x_stride + column);
          if (column >= n) {
            ASSERT_EQ(x[at], before[at]) << "outside of x";
            continue;
          }
          // Each row is a sum of products with the rows as they were computed before it.
          double exact = before[at];
          double magnitudes = std::abs(exact);
          for (std::int64_t j = 0; j < row; ++j) {
            const double term = static_cast<double>(l[static_cast<std::size_t>(row * l_stride + j)]) *
                                x[static_cast<std::size_t>(j * x_stride + column)];
            exact += term;
            magnitudes += std::abs(term);
          }
          ASSERT_NEAR(x[at], exact, sum_error(magnitudes, row + 1)) << m << " x " << n << " at " << row;
        }
      }
    }
  }
}

TEST_P(VectorTest, DeltaStep) {
  for (const std::int64_t n : {16, 32, 80, 128}) {
    const auto size = static_cast<std::size_t>(n);
    const std::vector<float> before = floats(n * n);
    const std::vector<float> k = floats(n), q = floats(n), v = floats(n);
    const float decay = uniform(0.1f, 1.0f), beta = uniform(0.0f, 1.0f);
    std::vector<float> s = before;
    std::vector<float> out(size);
    kernels().delta_step(s.data(), k.data(), q.data(), v.data(), decay, beta, out.data(), n);
    for (std::size_t row = 0; row < size; ++row) {
      double predicted = 0, read = 0, kq = 0;
      for (std::size_t i = 0; i < size; ++i) {
        predicted += static_cast<double>(decay) * before[row * size + i] * k[i];
        read += static_cast<double>(decay) * before[row * size + i] * q[i];
        kq += static_cast<double>(k[i]) * q[i];
      }
      const double u = beta * (v[row] - predicted);
      // All numbers are of magnitude 1 at most: three sums of n terms, u of 1 + n, and a few roundings more.
      const double sums = sum_error(static_cast<double>(n), n + 3);
      const double u_error = sums + 3 * kRounding * static_cast<double>(n + 1);
      EXPECT_NEAR(out[row], read + u * kq,
                  sums + std::abs(kq) * u_error + std::abs(u) * sums + 4 * kRounding * n);
      for (std::size_t i = 0; i < size; ++i) {
        EXPECT_NEAR(s[row * size + i], decay * static_cast<double>(before[row * size + i]) + u * k[i],
                    u_error + 3 * kRounding * static_cast<double>(n + 2));
      }
    }
  }
}

TEST_P(VectorTest, ReadAllReadsAll) {
  for (const std::int64_t ahead : {0, 8192}) {
    std::vector<std::byte> bytes(512 * 3 + 64, std::byte{7});
    const std::uint64_t before = kernels().read_all(bytes.data(), 512 * 3, ahead);
    for (std::size_t i = 0; i < 512 * 3; ++i) {
      bytes[i] = std::byte{8};
      EXPECT_NE(kernels().read_all(bytes.data(), 512 * 3, ahead), before) << "byte " << i;
      bytes[i] = std::byte{7};
    }
    bytes[512 * 3] = std::byte{8};
    EXPECT_EQ(kernels().read_all(bytes.data(), 512 * 3, ahead), before);
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, MatrixTest, testing::ValuesIn(available_isas()), kernel_test_name);
INSTANTIATE_TEST_SUITE_P(Cpu, VectorTest, testing::ValuesIn(available_isas()), kernel_test_name);

}  // namespace
}  // namespace lattice::cpu
