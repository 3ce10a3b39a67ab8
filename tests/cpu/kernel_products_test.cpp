#include <algorithm>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/kernel_fixture.h"
#include "cpu/packed_layout.h"
#include "cpu/packed_matrix.h"
#include "cpu/random_matrix.h"
#include "cpu/workspace.h"
#include "quant/blocks.h"
#include "support/float16.h"
#include "support/thread_pool.h"

namespace lattice::cpu {
namespace {

constexpr FileFormat kFormats[] = {
    {.type = DType::kF32},
    {.type = DType::kF16},
    {.type = DType::kBF16},
    {.type = DType::kQ8_0},
    {.type = DType::kQ4_0},
    {.type = DType::kQ4_1},
    {.type = DType::kQ5_0},
    {.type = DType::kQ5_1},
    {.type = DType::kQ4_K},
    {.type = DType::kQ5_K},
    {.type = DType::kQ6_K},
    {.type = DType::kAffine, .bits = 4, .group_size = 32, .scale_type = DType::kF16},
    {.type = DType::kAffine, .bits = 4, .group_size = 64, .scale_type = DType::kBF16},
    {.type = DType::kAffine, .bits = 5, .group_size = 64, .scale_type = DType::kBF16},
    {.type = DType::kAffine, .bits = 6, .group_size = 128, .scale_type = DType::kF16},
    {.type = DType::kAffine, .bits = 8, .group_size = 64, .scale_type = DType::kBF16},
    {.type = DType::kAffine, .bits = 8, .group_size = 128, .scale_type = DType::kF16},
};

std::vector<FileFormat> quantised_formats() {
  std::vector<FileFormat> formats;
  std::ranges::copy_if(kFormats, std::back_inserter(formats), &FileFormat::is_quantised);
  return formats;
}

struct Shape {
  std::int64_t rows;
  std::int64_t cols;
};

// One row, one short of and one past a group, several groups; columns down to one, and either side of a
// block. The quantised formats take the columns rounded up.
constexpr Shape kShapes[] = {{1, 32},   {15, 64}, {16, 1},    {17, 33}, {33, 95},
                             {48, 160}, {7, 257}, {64, 1056}, {97, 64}};

class ProductTest : public KernelTest {
 protected:
  /// A matrix as a file has it, and packed.
  struct Matrix {
    FileFormat format;
    std::unique_ptr<RandomMatrix> file;
    MatrixView view;
    PackedMatrix packed;
    std::vector<float> values;  // [rows, cols], as the format's reference dequantiser has them

    [[nodiscard]] float value(std::int64_t row, std::int64_t col) const {
      return values[static_cast<std::size_t>(row * view.cols + col)];
    }
  };

  Matrix make(const FileFormat& format, Shape shape, const std::function<float()>& element,
              const std::function<std::uint8_t()>& byte) {
    shape.cols = round_up(shape.cols, format.columns_together());
    Matrix matrix{.format = format,
                  .file = std::make_unique<RandomMatrix>(format, shape.rows, shape.cols, element, byte),
                  .view = {},
                  .packed = {},
                  .values = {}};
    matrix.view = matrix.file->view();
    matrix.values.resize(static_cast<std::size_t>(shape.rows * shape.cols));
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      dequantize_row(
          matrix.view, row,
          std::span(matrix.values)
              .subspan(static_cast<std::size_t>(row * shape.cols), static_cast<std::size_t>(shape.cols)));
    }
    ThreadPool pool(1);
    PageArena arena;
    matrix.packed = PackedMatrix({&matrix.view, 1}, false, pool, arena);
    EXPECT_EQ(matrix.packed.is_quantised(), format.is_quantised()) << "converted, not packed as it is";
    return matrix;
  }
  Matrix make(const FileFormat& format, Shape shape, const std::function<float()>& element) {
    return make(format, shape, element, [this] { return static_cast<std::uint8_t>(whole(0, 255)); });
  }

  /// `tokens` vectors, prepared as the forward pass prepares them.
  PreparedVectors prepare(std::int64_t tokens, std::int64_t cols, const std::function<float()>& element) {
    PreparedVectors prepared(tokens, cols, kernels());
    for (std::int64_t t = 0; t < tokens; ++t) {
      float* values = prepared.values(t, cols);
      for (std::int64_t c = 0; c < cols; ++c) values[c] = element();
      prepared.quantise(t, cols);
      prepared.widen(t, cols);
      prepared.split(t, cols);
    }
    return prepared;
  }

  std::function<float()> unit() {
    return [this] { return uniform(-1.0f, 1.0f); };
  }

  static constexpr float kUntouched = 12345.0f;

  /// y [tokens, stride] of all groups, with what stands past the rows and between the tokens untouched.
  std::vector<float> multiply(const Matrix& matrix, const PreparedVectors& x, std::int64_t tokens, bool exact,
                              std::int64_t stride) {
    std::vector<float> y(static_cast<std::size_t>(tokens * stride + kGroupRows), kUntouched);
    product_for(kernels(), matrix.packed.format(), exact)(matrix.packed.rows(), 0, matrix.packed.groups(),
                                                          x.data(), tokens, y.data(), stride);
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) {
      if (i / stride >= tokens || i % stride >= matrix.view.rows) {
        EXPECT_EQ(y[static_cast<std::size_t>(i)], kUntouched) << "float " << i << " of stride " << stride;
      }
    }
    return y;
  }

  /// Whether activations are multiplied as sums of two bfloat16 numbers, of 8 bits each.
  [[nodiscard]] bool splits(const Matrix& matrix, std::int64_t tokens, bool exact) const {
    return kernels().split != nullptr && matrix.format.type == DType::kBF16 && tokens > kStepTokens && !exact;
  }

  /// |y − exact product| within what float sums may lose. Of split activations the first number is off by
  /// 2^-8 of the value at most, and the second by half a step of a number of 8 bits that is no larger than
  /// that: 2^-17. There are two products a column, which are not rounded. A second number that is denormal
  /// is lost.
  void expect_float_product(const Matrix& matrix, const PreparedVectors& x, std::int64_t tokens,
                            bool exactly = true) {
    const std::int64_t stride = matrix.view.rows + 3;
    const std::vector<float> y = multiply(matrix, x, tokens, exactly, stride);
    const bool split = splits(matrix, tokens, exactly);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t r = 0; r < matrix.view.rows; ++r) {
        double exact = 0;
        double magnitudes = 0;
        double weights = 0;
        for (std::int64_t c = 0; c < matrix.view.cols; ++c) {
          const double term = static_cast<double>(matrix.value(r, c)) * x[t].values[c];
          exact += term;
          magnitudes += std::abs(term);
          weights += std::abs(matrix.value(r, c));
        }
        // A block format's scale is one more factor, and rounding, of each term.
        double bound = sum_error(magnitudes, matrix.view.cols + 1);
        if (split) {
          bound = sum_error((1 + 0x1p-7) * magnitudes, 2 * matrix.view.cols) + 0x1p-17 * magnitudes +
                  static_cast<double>(std::numeric_limits<float>::min()) * weights;
        }
        ASSERT_NEAR(y[static_cast<std::size_t>(t * stride + r)], exact, bound)
            << "token " << t << ", row " << r;
      }
    }
  }

  /// With int8 activations what shares a scale is summed up as an integer, so that only scaling and adding
  /// round: at most three times a block and half, and the bias's share apart from the rest, so that both
  /// count with their own sizes. The reference's weights are rounded once each themselves.
  void expect_int8_product(const Matrix& matrix, const PreparedVectors& x, std::int64_t tokens) {
    const std::int64_t stride = matrix.view.rows + 5;
    const std::vector<float> y = multiply(matrix, x, tokens, false, stride);
    const PackedRows& packed = matrix.packed.rows();
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t r = 0; r < matrix.view.rows; ++r) {
        double exact = 0;
        double magnitudes = 0;
        double weights = 0;
        for (std::int64_t first = 0; first < matrix.view.cols; first += kBlock / 2) {
          const std::int64_t b = first / kBlock;
          double products = 0;
          for (std::int64_t c = first; c < first + kBlock / 2; ++c) {
            products += static_cast<double>(matrix.value(r, c)) * x[t].quants[c];
            weights += std::abs(static_cast<double>(matrix.value(r, c)) * x[t].quants[c]) * x[t].scales[b];
          }
          exact += products * x[t].scales[b];
          const double bias = weight_scale(packed, matrix.packed.format(), r, b, 0).bias;
          magnitudes += (std::abs(products) + 2 * std::abs(bias * x[t].totals[b])) * x[t].scales[b];
        }
        ASSERT_NEAR(y[static_cast<std::size_t>(t * stride + r)], exact,
                    sum_error(magnitudes, 2 * packed.blocks + 4) + weights * kRounding)
            << "token " << t << ", row " << r;
      }
    }
  }
};

TEST_P(ProductTest, MultipliesInFloatWhateverTheShape) {
  for (const FileFormat& format : kFormats) {
    for (const Shape shape : kShapes) {
      SCOPED_TRACE(format.name() + ", " + std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
      const Matrix matrix = make(format, shape, unit());
      for (const std::int64_t tokens : {1, 2, 3, 7, 8, 13, 16, 35}) {
        const PreparedVectors x = prepare(tokens, matrix.view.cols, unit());
        expect_float_product(matrix, x, tokens);
        if (!format.is_quantised()) expect_float_product(matrix, x, tokens, false);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(ProductTest, MultipliesInIntegersWhateverTheShape) {
  for (const FileFormat& format : quantised_formats()) {
    for (const Shape shape : kShapes) {
      SCOPED_TRACE(format.name() + ", " + std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
      const Matrix matrix = make(format, shape, unit());
      for (const std::int64_t tokens : {1, 2, 3, 7, 8, 13}) {
        expect_int8_product(matrix, prepare(tokens, matrix.view.cols, unit()), tokens);
        if (HasFatalFailure()) return;
      }
    }
  }
}

/// Codes, and scales of K-quants, at both of their ends against the largest activations, of both signs: sums
/// that overflow would be off by thousands of steps.
TEST_P(ProductTest, SumsOfTheLargestCodesFit) {
  for (const FileFormat& format : quantised_formats()) {
    for (const std::uint8_t byte : {0x00, 0xff, 0x0f, 0xf0, 0x80, 0x7f}) {
      SCOPED_TRACE(format.name() + ", bytes of " + std::to_string(byte));
      const Matrix matrix = make(
          format, {20, 256}, [] { return 1.0f; }, [byte] { return byte; });
      for (const float x : {1.0f, -1.0f}) {
        for (const std::int64_t tokens : {5, 9})
          expect_int8_product(matrix, prepare(tokens, 256, [x] { return x; }), tokens);
      }
      if (HasFatalFailure()) return;
    }
  }
}

/// Scales that are powers of two leave nothing to round: every code from −128 (or −8) up against every
/// activation must give the integer itself. Both ends together would overflow sums of 16 bits.
TEST_P(ProductTest, IntegerSumsAreExact) {
  for (const DType format : {DType::kQ8_0, DType::kQ4_0}) {
    const int lowest = format == DType::kQ8_0 ? -128 : -8;
    constexpr std::int64_t kRows = 40;
    constexpr std::int64_t kBlocks = 5;
    std::vector<int> codes(kRows * kBlocks * kBlock);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t row = i / (kBlocks * kBlock);
      codes[i] =
          row < 4 ? (row % 2 == 0 ? lowest : -lowest - 1) : static_cast<int>(whole(lowest, -lowest - 1));
    }
    std::vector<std::byte> file(static_cast<std::size_t>(kRows * kBlocks * block_bytes(format)));
    for (std::int64_t b = 0; b < kRows * kBlocks; ++b) {
      const int* from = codes.data() + b * kBlock;
      if (format == DType::kQ8_0) {
        block_q8_0 block{.d = f32_to_f16(0.25f), .q = {}};
        for (int c = 0; c < 32; ++c) block.q[c] = static_cast<std::int8_t>(from[c]);
        std::memcpy(file.data() + b * block_bytes(format), &block, sizeof block);
      } else {
        block_q4_0 block{.d = f32_to_f16(0.25f), .q = {}};
        for (int c = 0; c < 16; ++c)
          block.q[c] = static_cast<std::uint8_t>((from[c] + 8) | ((from[c + 16] + 8) << 4));
        std::memcpy(file.data() + b * block_bytes(format), &block, sizeof block);
      }
    }
    const MatrixView view{
        .dtype = format, .rows = kRows, .cols = kBlocks * kBlock, .data = file.data(), .affine = {}};
    ThreadPool pool(1);
    PageArena arena;
    const PackedMatrix packed({&view, 1}, false, pool, arena);

    constexpr std::int64_t kTokens = 9;
    // Halves of whole numbers, of which each block has one of 127: quantising finds them.
    std::int64_t index = 0;
    const PreparedVectors x = prepare(kTokens, kBlocks * kBlock, [&] {
      const std::int64_t token = index / (kBlocks * kBlock);
      const bool largest = token < 2 || index % kBlock == 7;
      ++index;
      return 0.5f * static_cast<float>(largest ? (token % 2 == 0 ? 127 : -127) : whole(-127, 127));
    });
    for (const std::int64_t tokens : {std::int64_t{1}, kTokens}) {
      std::vector<float> y(static_cast<std::size_t>(tokens * kRows));
      product_for(kernels(), packed.format(), false)(packed.rows(), 0, packed.groups(), x.data(), tokens,
                                                     y.data(), kRows);
      for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::int64_t r = 0; r < kRows; ++r) {
          std::int64_t expected = 0;
          for (std::int64_t c = 0; c < kBlocks * kBlock; ++c)
            expected +=
                codes[static_cast<std::size_t>(r * kBlocks * kBlock + c)] * std::lround(2 * x[t].values[c]);
          // Five integers below 2^19.1, eighths of them: exact in float, sums included.
          ASSERT_EQ(y[static_cast<std::size_t>(t * kRows + r)], static_cast<float>(expected) * 0.125f)
              << dtype_name(format) << ", token " << t << ", row " << r;
        }
      }
    }
  }
}

/// A vector among others gives what it gives alone: bit for bit where sums are integers within blocks; where
/// they are floats, one vector may be summed in more chains.
TEST_P(ProductTest, ManyVectorsGiveWhatEachGivesAlone) {
  constexpr std::int64_t kTokens = 11;
  for (const FileFormat& format : kFormats) {
    for (const bool exact : {false, true}) {
      const Matrix matrix = make(format, {50, 224}, unit());
      const PreparedVectors x = prepare(kTokens, matrix.view.cols, unit());
      const std::int64_t rows = matrix.view.rows;
      const std::vector<float> together = multiply(matrix, x, kTokens, exact, rows);
      for (std::int64_t t = 0; t < kTokens; ++t) {
        std::vector<float> alone(static_cast<std::size_t>(rows));
        product_for(kernels(), matrix.packed.format(), exact)(matrix.packed.rows(), 0, matrix.packed.groups(),
                                                              x.data() + t, 1, alone.data(), rows);
        for (std::int64_t r = 0; r < rows; ++r) {
          const float one = alone[static_cast<std::size_t>(r)];
          const float among = together[static_cast<std::size_t>(t * rows + r)];
          if (format.is_quantised() && !exact) {
            ASSERT_EQ(one, among) << format.name() << ", token " << t << ", row " << r;
          } else {  // 224 terms of magnitude 1 at most, summed twice
            ASSERT_NEAR(one, among, 2 * sum_error(224, 225)) << format.name();
          }
        }
      }
    }
  }
}

/// A thread's groups are its own: a part of them, of any number, gives the same bits, and no other row is
/// written. Of a decode step's vectors and of a prompt's.
TEST_P(ProductTest, AnyRangeOfGroupsGivesTheSameBits) {
  for (const FileFormat& format : kFormats) {
    for (const bool exact : {false, true}) {
      for (const std::int64_t tokens : {3, 13}) {
        const Matrix matrix = make(format, {83, 96}, unit());
        const PreparedVectors x = prepare(tokens, matrix.view.cols, unit());
        const std::vector<float> all = multiply(matrix, x, tokens, exact, 83);
        std::vector<float> pieces(all.size(), kUntouched);
        const auto piece = [&](std::int64_t first, std::int64_t last) {
          product_for(kernels(), matrix.packed.format(), exact)(matrix.packed.rows(), first, last, x.data(),
                                                                tokens, pieces.data(), 83);
        };
        piece(2, 3);
        EXPECT_EQ(std::ranges::count(pieces, kUntouched),
                  static_cast<std::ptrdiff_t>(all.size()) - tokens * kGroupRows);
        piece(0, 2);
        piece(3, 3);
        piece(3, 6);
        EXPECT_EQ(pieces, all) << format.name() << ", " << tokens << " tokens";
      }
    }
  }
}

TEST_P(ProductTest, AskingAheadChangesNoBit) {
  for (const FileFormat& format : kFormats) {
    const Matrix matrix = make(format, {33, 1056}, unit());
    const PreparedVectors x = prepare(kStepTokens, matrix.view.cols, unit());
    const Product product = product_for(kernels(), matrix.packed.format(), false);
    matrix.packed.ask_for(0);
    const auto multiply_ahead = [&](std::int64_t ahead) {
      PackedRows rows = matrix.packed.rows();
      rows.ahead = ahead;
      std::vector<float> y(kStepTokens * 48);
      product(rows, 0, matrix.packed.groups(), x.data(), kStepTokens, y.data(), 48);
      return y;
    };
    // As far ahead as Intel's processors are asked, and far beyond the matrix.
    const std::vector<float> expected = multiply_ahead(0);
    EXPECT_EQ(multiply_ahead(8192), expected) << format.name();
    EXPECT_EQ(multiply_ahead(std::int64_t{1} << 32), expected) << format.name();
  }
}

/// How many a prompt's vectors are, and so the tile that each falls into, does not show in its sums. The
/// matrix has an odd number of groups.
TEST_P(ProductTest, AnyNumberOfVectorsGivesTheSameBits) {
  constexpr std::int64_t kMost = 37;
  constexpr std::int64_t kRows = 70;
  for (const FileFormat& format : kFormats) {
    for (const bool exact : {false, true}) {
      const Matrix matrix = make(format, {kRows, 96}, unit());
      const PreparedVectors x = prepare(kMost, matrix.view.cols, unit());
      const std::vector<float> all = multiply(matrix, x, kMost, exact, kRows);
      for (const std::int64_t tokens : {9, 10, 11, 12, 13, 14, 15, 16, 17, 20, 23, 24, 25, 31}) {
        const std::vector<float> few = multiply(matrix, x, tokens, exact, kRows);
        EXPECT_TRUE(std::equal(few.begin(), few.begin() + tokens * kRows, all.begin()))
            << format.name() << (exact ? ", exact, " : ", ") << tokens << " tokens";
      }
    }
  }
}

/// An activation block's quants are off by half a step at most, and a step is the block's largest value over
/// 127: so a product is off by Σ |w| · largest / 254 at most. On random signs the errors cancel, and the
/// relative error of the whole vector is near 1/(127·√12) · largest / root mean square, √3 for uniform
/// values: 0.4 %. The random weights of formats with a bias are alike within a block, which leaves too few
/// random signs; activation_test.cpp has those formats with weights of a model.
TEST_P(ProductTest, Int8ActivationsCostLittle) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ5_0, DType::kQ6_K}) {
    const FileFormat format{.type = type};
    const Matrix matrix = make(format, {256, 1024}, unit());
    const PreparedVectors x = prepare(1, matrix.view.cols, unit());
    const std::vector<float> exact = multiply(matrix, x, 1, true, 256);
    const std::vector<float> rounded = multiply(matrix, x, 1, false, 256);
    double error = 0;
    double size = 0;
    for (std::size_t r = 0; r < 256; ++r) {
      error += std::pow(static_cast<double>(rounded[r]) - exact[r], 2);
      size += std::pow(static_cast<double>(exact[r]), 2);
      double bound = 0;
      for (std::size_t c = 0; c < 1024; ++c)
        bound += std::abs(matrix.values[r * 1024 + c]) * x[0].scales[c / 32] * (0.5 + 1e-4);
      EXPECT_LE(std::abs(rounded[r] - exact[r]), bound);
    }
    // Of 256 numbers each sum of squares is within a quarter of its mean, so that 0.4 % is never 0.6 %.
    EXPECT_LT(std::sqrt(error / size), 0.006) << format.name();
    EXPECT_GT(std::sqrt(error / size), 0.002) << "activations were not quantised";
  }
}

/// The largest and the smallest numbers of each format, signs mixed.
TEST_P(ProductTest, MultipliesExtremeValues) {
  for (const FileFormat& format : kFormats) {
    for (const float size : {1e-36f, 1e-5f, 6e4f}) {
      SCOPED_TRACE(format.name() + ", weights of " + std::to_string(size));
      const Matrix matrix =
          make(format, {20, 96}, [&] { return uniform(0.5f, 1.0f) * (whole(0, 1) ? size : -size); });
      for (const float x_size : {1e-30f, 1e30f}) {
        if (size < 1e-30f && x_size < 1.0f) continue;  // products that are no numbers
        for (const std::int64_t tokens : {2, 9}) {
          const PreparedVectors x =
              prepare(tokens, matrix.view.cols, [&] { return uniform(-x_size, x_size); });
          expect_float_product(matrix, x, tokens);
          if (format.is_quantised()) {
            expect_int8_product(matrix, x, tokens);
          } else {
            expect_float_product(matrix, x, tokens, false);
          }
        }
      }
    }
  }
}

/// More vectors than a panel takes, and more groups of rows than share its vectors.
TEST_P(ProductTest, MultipliesManyVectors) {
  constexpr std::int64_t kTokens = 135;
  for (const FileFormat& format : kFormats) {
    const Matrix matrix = make(format, {83, 300}, unit());
    const PreparedVectors x = prepare(kTokens, matrix.view.cols, unit());
    expect_float_product(matrix, x, kTokens);
    if (format.is_quantised()) {
      expect_int8_product(matrix, x, kTokens);
    } else {
      expect_float_product(matrix, x, kTokens, false);
    }
    if (HasFatalFailure()) return;
  }
}

/// What is no number must not come out as one.
TEST_P(ProductTest, NaNAndInfinityComeThrough) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const FileFormat& format : kFormats) {
      for (const bool exact : {false, true}) {
        for (const std::int64_t tokens : {3, 9}) {
          const Matrix matrix = make(format, {20, 96}, [&] { return uniform(0.5f, 1.0f); });
          std::int64_t count = 0;
          const PreparedVectors x = prepare(tokens, matrix.view.cols,
                                            [&] { return count++ == matrix.view.cols + 40 ? bad : 1.0f; });
          const std::vector<float> y = multiply(matrix, x, tokens, exact, 20);
          for (std::size_t i = 0; i < y.size() - kGroupRows; ++i)
            EXPECT_EQ(std::isfinite(y[i]), i / 20 != 1) << format.name() << (exact ? ", exact, " : ", ") << i;
        }
      }
    }
  }
}

TEST_P(ProductTest, PackedRowsUnpackToTheirValues) {
  for (const FileFormat& format : kFormats) {
    const Matrix matrix = make(format, {19, 70}, unit());
    const auto cols = static_cast<std::size_t>(matrix.view.cols);
    std::vector<float> row(cols);
    for (std::size_t r = 0; r < 19; ++r) {
      matrix.packed.unpack_row(static_cast<std::int64_t>(r), row);
      EXPECT_TRUE(std::ranges::equal(row, std::span(matrix.values).subspan(r * cols, cols))) << format.name();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, ProductTest, testing::ValuesIn(available_isas()), kernel_test_name);

}  // namespace
}  // namespace lattice::cpu
