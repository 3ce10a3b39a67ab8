// Kernels in the styles of other projects: each runs, checks clean, and is held to a float64 reference.
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "msl/harness.h"

namespace lattice::msl {
namespace {

// A sum of n products in any order is off by n·ε·Σ|terms| at most (Higham, Accuracy and Stability,
// section 3.1); the terms of these tests are below 1.
double sum_bound(std::size_t n) {
  return static_cast<double>(n) * static_cast<double>(n) * 0x1p-24;
}

TEST(Kernels, VectorAdd) {
  KernelFile file("vector_add.metal");
  auto a = random_floats(1000, 1);
  auto b = random_floats(1000, 2);
  std::vector<float> out(1000, -7);
  Dispatch(file, "vector_add")
      .buffer(0, a)
      .buffer(1, b)
      .buffer(2, out)
      .value(3, 999u)
      .grid({1024, 1, 1}, {256, 1, 1})
      .run_and_check();
  for (std::size_t i = 0; i < 999; ++i) EXPECT_EQ(out[i], a[i] + b[i]);
  EXPECT_EQ(out[999], -7);
}

TEST(Kernels, SwizzlesReadAndWrite) {
  KernelFile file("vector_add.metal");
  std::vector<float> in = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> out(8);
  Dispatch(file, "scale_float4")
      .buffer(0, in)
      .buffer(1, out)
      .value(2, 10.0f)
      .grid({2, 1, 1}, {2, 1, 1})
      .run_and_check();
  EXPECT_EQ(out, (std::vector<float>{20, 10, 60, 8, 60, 50, 140, 16}));
}

TEST(Kernels, OverloadsByAddressSpace) {
  KernelFile file("address_spaces.metal");
  std::vector<float> x = {1, 2, 3, 4};
  std::vector<float> y = {5, 6, 7, 8};
  std::vector<float> out(4);
  Dispatch(file, "address_spaces")
      .buffer(0, x)
      .buffer(1, y)
      .buffer(2, out)
      .constant(0, true)
      .grid({4, 1, 1}, {4, 1, 1})
      .run_and_check();
  // 1 + 1, the last of x, and the last of y with 100 that its own overload adds.
  EXPECT_EQ(out, std::vector<float>(4, 1000 + 2 + 4 + 108));
}

TEST(Kernels, RowSum) {
  KernelFile file("reductions.metal");
  const int width = 77;
  auto in = random_floats(3 * width, 3);
  std::vector<float> out(3);
  Dispatch(file, "row_sum_simd")
      .buffer(0, in)
      .buffer(1, out)
      .value(2, width)
      .grid({3 * 32, 1, 1}, {32, 1, 1})
      .run_and_check();
  for (std::size_t row = 0; row < 3; ++row) {
    double sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += in[row * width + i];
    EXPECT_NEAR(out[row], sum, sum_bound(width));
  }
}

TEST(Kernels, Softmax) {
  KernelFile file("reductions.metal");
  for (const std::uint32_t threads : {32u, 128u, 96u}) {
    const std::int64_t width = 201;
    const auto values = random_floats(2 * width, 4);
    auto in = to_half(values);
    std::vector<std::uint16_t> out(2 * width);
    Dispatch(file, "softmax")
        .buffer(0, in)
        .buffer(1, out)
        .value(2, width)
        .threadgroup_memory(0, 32 * 4)
        .grid({2 * threads, 1, 1}, {threads, 1, 1})
        .run_and_check();
    for (std::size_t row = 0; row < 2; ++row) {
      double sum = 0;
      for (std::size_t i = 0; i < width; ++i) sum += std::exp(double{f16_to_f32(in[row * width + i])});
      for (std::size_t i = 0; i < width; ++i) {
        const double want = std::exp(double{f16_to_f32(in[row * width + i])}) / sum;
        EXPECT_NEAR(f16_to_f32(out[row * width + i]), want,
                    want * 0x1p-10);  // one rounding to half, and a little
      }
    }
  }
}

template <typename T, typename ToT, typename FromT>
void test_rms_norm(const std::string& kernel, double epsilon, ToT to, FromT from) {
  KernelFile file("reductions.metal");
  const std::uint32_t width = 250;
  std::vector<T> x;
  std::vector<T> w;
  for (const float v : random_floats(3 * width, 5)) x.push_back(to(v));
  for (const float v : random_floats(width, 6)) w.push_back(to(v));
  // Reads go four at a time only where a lane's first is inside; the rows end with a lane that has two.
  std::vector<T> out(x.size());
  Dispatch(file, kernel)
      .buffer(0, x)
      .buffer(1, w)
      .buffer(2, out)
      .value(3, 1e-5f)
      .value(4, width)
      .grid({3 * 64, 1, 1}, {64, 1, 1})
      .run_and_check();
  for (std::size_t row = 0; row < 3; ++row) {
    double squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += std::pow(double{from(x[row * width + i])}, 2);
    for (std::size_t i = 0; i < width; ++i) {
      const double want =
          double{from(w[i])} * double{from(x[row * width + i])} / std::sqrt(squares / width + 1e-5);
      EXPECT_NEAR(from(out[row * width + i]), want, std::abs(want) * 2.5 * epsilon + 1e-7) << row << ' ' << i;
    }
  }
}
TEST(Kernels, RmsNorm) {
  const auto same = [](float v) { return v; };
  test_rms_norm<float>("rms_norm_float32", 0x1p-20, same, same);
  test_rms_norm<std::uint16_t>("rms_norm_float16", 0x1p-11, f32_to_f16, f16_to_f32);
  test_rms_norm<std::uint16_t>("rms_norm_bfloat16", 0x1p-8, f32_to_bf16, bf16_to_f32);
}

void test_matmul(const std::string& kernel, int m, int n, int k, Size3 grid, Size3 threadgroup) {
  KernelFile file("matmul.metal");
  auto a = random_floats(static_cast<std::size_t>(m * k), 7);
  auto b = random_floats(static_cast<std::size_t>(k * n), 8);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  struct {
    int m, n, k;
  } const args{m, n, k};
  Dispatch(file, kernel)
      .buffer(0, a)
      .buffer(1, b)
      .buffer(2, c)
      .value(3, args)
      .grid(grid, threadgroup)
      .run_and_check();
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int t = 0; t < k; ++t)
        sum += double{a[static_cast<std::size_t>(i * k + t)]} * b[static_cast<std::size_t>(t * n + j)];
      ASSERT_NEAR(c[static_cast<std::size_t>(i * n + j)], sum, sum_bound(static_cast<std::size_t>(k)))
          << i << ' ' << j;
    }
  }
}
TEST(Kernels, MatmulThroughThreadgroupMemory) {
  test_matmul("matmul_tiled", 19, 35, 21, {48, 32, 1}, {16, 16, 1});
}
TEST(Kernels, MatmulWithSimdgroupMatrices) {
  test_matmul("matmul_simdgroup", 32, 48, 24, {3 * 32, 2, 1}, {32, 1, 1});
}

// Blocks of one 16-bit scale and 32 quants, of 8 bits or of 4.
TEST(Kernels, BlockQuantisedGemv) {
  KernelFile file("quantised_gemv.metal");
  const int cols = 96;
  const int rows = 11;
  auto y = random_floats(cols, 9);
  for (const bool q8 : {true, false}) {
    const std::size_t quant_bytes = q8 ? 32 : 16;
    std::vector<std::uint8_t> blocks;
    std::vector<double> want(rows, 0.0);
    std::uint32_t state = 77;
    for (int row = 0; row < rows; ++row) {
      for (int block = 0; block < cols / 32; ++block) {
        const std::uint16_t scale = f32_to_f16(0.01f + 0.001f * static_cast<float>(row));
        blocks.push_back(static_cast<std::uint8_t>(scale & 0xff));
        blocks.push_back(static_cast<std::uint8_t>(scale >> 8));
        for (std::size_t i = 0; i < quant_bytes; ++i) {
          state = state * 1664525u + 1013904223u;
          const auto byte = static_cast<std::uint8_t>(state >> 24);
          blocks.push_back(byte);
          const std::size_t at = static_cast<std::size_t>(block) * 32 + i;
          const double d = f16_to_f32(scale);
          if (q8) {
            want[static_cast<std::size_t>(row)] += d * static_cast<std::int8_t>(byte) * y[at];
          } else {
            want[static_cast<std::size_t>(row)] +=
                d * ((byte & 15) - 8) * y[at] + d * ((byte >> 4) - 8) * y[at + 16];
          }
        }
      }
    }
    struct {
      std::int32_t cols, rows;
    } const args{cols, rows};
    std::vector<float> out(rows);
    // Two simdgroups of four rows each a threadgroup.
    Dispatch(file, q8 ? "kernel_mul_vec_q8" : "kernel_mul_vec_q4")
        .value(0, args)
        .buffer(1, blocks)
        .buffer(2, y)
        .buffer(3, out)
        .grid({2 * 64, 1, 1}, {64, 1, 1})
        .run_and_check();
    for (std::size_t row = 0; row < rows; ++row) EXPECT_NEAR(out[row], want[row], 1e-4) << row;
  }
}

TEST(Kernels, AffineQuantisedGemv) {
  KernelFile file("quantised_gemv.metal");
  const int cols = 512;
  const std::size_t rows = 4;
  std::vector<std::uint32_t> w(rows * cols / 8);
  std::uint32_t state = 5;
  for (std::uint32_t& word : w) word = state = state * 1664525u + 1013904223u;
  auto scales = random_floats(rows * cols / 32, 10);
  auto biases = random_floats(rows * cols / 32, 11);
  auto x = random_floats(cols, 12);
  std::vector<float> out(rows);
  Dispatch(file, "affine_qmv_float_gs_32_b_4")
      .buffer(0, w)
      .buffer(1, scales)
      .buffer(2, biases)
      .buffer(3, x)
      .buffer(4, out)
      .value(5, cols)
      .grid({2 * 64, 1, 1}, {64, 1, 1})
      .run_and_check();
  for (std::size_t row = 0; row < rows; ++row) {
    double want = 0;
    double magnitude = 0;
    for (std::size_t i = 0; i < cols; ++i) {
      const std::size_t at = row * cols + i;
      const double q = (w[at / 8] >> (4 * (at % 8))) & 15u;
      const double term = (q * scales[at / 32] + biases[at / 32]) * x[i];
      want += term;
      magnitude += std::abs(q * scales[at / 32] * x[i]) + std::abs(biases[at / 32] * x[i]);
    }
    EXPECT_NEAR(out[row], want, magnitude * 64 * 0x1p-24);
  }
}

void test_attention(bool mask, bool window) {
  KernelFile file("attention.metal");
  const int heads = 4;
  const int gqa = 2;
  const int n = 37;
  const int d = 64;
  auto q = random_floats(heads * d, 13);
  auto k = random_floats(heads / gqa * n * d, 14);
  auto v = random_floats(heads / gqa * n * d, 15);
  auto m = random_floats(n, 16);
  std::vector<float> out(heads * d);
  const float scale = 0.125f;
  Dispatch dispatch(file, "sdpa_decode_float_64");
  dispatch.buffer(0, q)
      .buffer(1, k)
      .buffer(2, v)
      .buffer(3, out)
      .value(4, gqa)
      .value(5, n)
      .value(6, scale)
      .grid({heads * 128, 1, 1}, {128, 1, 1});
  if (mask) dispatch.buffer(7, m).constant(0, true);
  if (window) dispatch.constant(1, 10);
  dispatch.run_and_check();
  for (int head = 0; head < heads; ++head) {
    std::vector<double> weight(n, 0.0);
    double total = 0;
    const auto at = [&](int key, int j) { return static_cast<std::size_t>((head / gqa * n + key) * d + j); };
    for (int key = window ? n - 10 : 0; key < n; ++key) {
      double score = mask ? m[static_cast<std::size_t>(key)] : 0;
      for (int j = 0; j < d; ++j)
        score += double{scale} * q[static_cast<std::size_t>(head * d + j)] * k[at(key, j)];
      total += weight[static_cast<std::size_t>(key)] = std::exp(score);
    }
    for (int j = 0; j < d; ++j) {
      double want = 0;
      for (int key = 0; key < n; ++key) want += weight[static_cast<std::size_t>(key)] / total * v[at(key, j)];
      ASSERT_NEAR(out[static_cast<std::size_t>(head * d + j)], want, 1e-6);
    }
  }
}
TEST(Kernels, AttentionDecode) {
  test_attention(false, false);
}
TEST(Kernels, AttentionWithOptionalMask) {
  test_attention(true, false);
}
TEST(Kernels, AttentionWithWindowByFunctionConstant) {
  test_attention(false, true);
}

TEST(Kernels, HistogramByAtomics) {
  KernelFile file("histogram.metal");
  std::vector<std::uint8_t> in(1000);
  std::vector<std::uint32_t> want(64, 0);
  for (std::size_t i = 0; i < in.size(); ++i)
    ++want[(in[i] = static_cast<std::uint8_t>(i * i * 31 >> 3)) % 64];
  std::vector<std::uint32_t> bins(64, 0);
  Dispatch(file, "histogram")
      .buffer(0, in)
      .buffer(1, bins)
      .value(2, 1000u)
      .grid({300, 1, 1}, {100, 1, 1})
      .run_and_check();
  EXPECT_EQ(bins, want);
}

}  // namespace
}  // namespace lattice::msl
