// Softmax, log Σ exp and LayerNorm, each over the rows of an array.

#include <algorithm>
#include <limits>
#include <numeric>

#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::LayerNormArgs;
using lattice_gpu::RowsArgs;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kUntouchedValue = 7.0f;

struct Rows {
  std::uint32_t count;
  std::uint32_t cols;
  std::uint32_t stride;  // of input and output
  std::vector<float> values;

  [[nodiscard]] std::span<const float> row(std::uint32_t index) const {
    return std::span(values).subspan(std::size_t{index} * stride, cols);
  }
};

Rows random_rows(Random& random, std::uint32_t count, std::uint32_t cols, float scale) {
  const std::uint32_t stride = (cols + 7) / 4 * 4;  // a multiple of 4, and at least one element more
  return {count, cols, stride, random.floats(std::size_t{count} * stride, scale)};
}

/// Σ e^x in float64, relative to e to the row's largest value.
struct ExpSum {
  explicit ExpSum(std::span<const float> row) : max(*std::ranges::max_element(row)) {
    for (const float value : row) sum += std::exp(value - max);
  }
  [[nodiscard]] double logarithm() const { return max + std::log(sum); }
  [[nodiscard]] double probability(float value) const { return std::exp(value - max) / sum; }

  double max;
  double sum = 0;
};

struct Softmax {
  std::vector<float> probabilities;
  std::vector<float> logarithms;
};

Softmax run_softmax(SoftDevice& device, const Rows& in, std::uint32_t simdgroups) {
  const auto x = upload(device, in.values),
             y = upload(device, std::vector<float>(in.values.size(), kUntouchedValue)),
             sums = device.allocate(in.count * sizeof(float));
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, simdgroups}};
  const RowsArgs args{in.cols, in.stride, in.stride, 0};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("softmax", constants), {*x, *y, args}, {in.count}, simdgroups * 32);
  commands->dispatch(device.kernel("logsumexp", constants), {*x, *sums, args}, {in.count}, simdgroups * 32);
  device.submit(*commands);
  return {download(*y), download(*sums)};
}

void check_softmax(SoftDevice& device, const Rows& in, std::uint32_t simdgroups) {
  const Softmax out = run_softmax(device, in, simdgroups);
  std::vector<double> probabilities, logarithms;
  for (std::uint32_t r = 0; r < in.count; ++r) {
    const ExpSum sum(in.row(r));
    logarithms.push_back(sum.logarithm());
    for (const float value : in.row(r)) probabilities.push_back(sum.probability(value));
    probabilities.insert(probabilities.end(), in.stride - in.cols, kUntouchedValue);
  }
  expect_near(out.logarithms, logarithms, 1e-6);
  ASSERT_EQ(out.probabilities.size(), probabilities.size());
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    ASSERT_NEAR(out.probabilities[i], probabilities[i], 5e-6 * probabilities[i] + 1e-37) << "element " << i;
  }
}

TEST(Softmax, HoldsForOddSizes) {
  for (const std::uint32_t cols : {1u, 2u, 31u, 32u, 33u, 257u, 4100u}) {
    for (const std::uint32_t simdgroups : {1u, 3u, 8u}) {
      Random random;
      SCOPED_TRACE(testing::Message()
                   << cols << " columns, " << simdgroups << " simdgroups, seed " << random.seed());
      check_softmax(fast_device(), random_rows(random, 3, cols, 20.0f), simdgroups);
    }
  }
}

TEST(Softmax, TakesLargeAndInfiniteValues) {
  Random random;
  Rows rows = random_rows(random, 4, 70, 5.0f);
  const auto row = [&](std::size_t r) { return std::span(rows.values).subspan(r * rows.stride, rows.cols); };
  for (float& value : row(0)) value += 1000.0f;  // e^x overflows
  for (float& value : row(1)) value -= 1000.0f;  // e^x underflows
  for (std::size_t i = 0; i < 69; ++i) row(2)[i] = -kInfinity;
  std::ranges::fill(row(3), -kInfinity);
  const Softmax out = run_softmax(fast_device(), rows, 2);
  for (std::uint32_t r = 0; r < 3; ++r) {
    const ExpSum sum(row(r));
    for (std::uint32_t i = 0; i < rows.cols; ++i) {
      EXPECT_NEAR(out.probabilities[r * rows.stride + i], sum.probability(row(r)[i]), 1e-6);
    }
    EXPECT_NEAR(out.logarithms[r], sum.logarithm(), 1e-6 * (1 + std::abs(sum.logarithm())));
  }
  EXPECT_EQ(out.logarithms[2], row(2)[69]);
  EXPECT_EQ(out.logarithms[3], -kInfinity);
  for (std::uint32_t i = 0; i < rows.cols; ++i) EXPECT_EQ(out.probabilities[3 * rows.stride + i], 0);
}

void run_layer_norm(SoftDevice& device, std::uint32_t cols, std::uint32_t simdgroups, float offset) {
  constexpr float kEpsilon = 1e-6f;
  Random random;
  SCOPED_TRACE(testing::Message() << cols << " columns about " << offset << ", " << simdgroups
                                  << " simdgroups, seed " << random.seed());
  Rows in = random_rows(random, 5, cols, 3.0f);
  for (float& value : in.values) value += offset;
  const auto weight = random.floats(cols), bias = random.floats(cols);
  const auto x = upload(device, in.values), w = upload(device, weight), b = upload(device, bias),
             y = upload(device, std::vector<float>(in.values.size(), kUntouchedValue));
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, simdgroups}};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("layer_norm", constants),
                     {*x, *w, *b, *y, LayerNormArgs{{cols, in.stride, in.stride, kEpsilon}, in.count}},
                     {(in.count + simdgroups - 1) / simdgroups}, simdgroups * 32);
  device.submit(*commands);

  const std::vector<float> actual = download(*y);
  for (std::uint32_t r = 0; r < in.count; ++r) {
    const std::span<const float> row = in.row(r);
    const double mean = std::accumulate(row.begin(), row.end(), 0.0) / cols;
    double squares = 0, largest = 0;
    for (const float value : row) {
      squares += (value - mean) * (value - mean);
      largest = std::max(largest, std::abs(double{value}));
    }
    const double factor = 1 / std::sqrt(squares / cols + kEpsilon);
    // The mean is a float: an element keeps the digits that taking it off leaves.
    const double tolerance = 1e-5 + 5e-7 * largest * factor;
    for (std::uint32_t i = 0; i < cols; ++i) {
      ASSERT_NEAR(actual[r * in.stride + i], (row[i] - mean) * factor * weight[i] + bias[i], tolerance)
          << "row " << r << ", element " << i;
    }
    for (std::uint32_t i = cols; i < in.stride; ++i) ASSERT_EQ(actual[r * in.stride + i], kUntouchedValue);
  }
}

TEST(LayerNorm, HoldsForOddSizes) {
  for (const std::uint32_t cols : {2u, 3u, 4u, 31u, 32u, 33u, 129u, 1152u}) {
    for (const std::uint32_t simdgroups : {1u, 2u, 4u}) run_layer_norm(fast_device(), cols, simdgroups, 0.0f);
  }
}

TEST(LayerNorm, KeepsItsDigitsFarFromZero) {
  run_layer_norm(fast_device(), 1152, 2, 1000.0f);
}

TEST(LayerNorm, GivesTheBiasOfARowThatIsOneValue) {
  constexpr std::uint32_t kCols = 37, kStride = 40;
  SoftDevice& device = fast_device();
  const auto x = upload(device, std::vector<float>(kStride, 0.25f)),
             w = upload(device, std::vector<float>(kCols, 3.0f)),
             b = upload(device, std::vector<float>(kCols, 1.5f)),
             y = device.allocate(kStride * sizeof(float));
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, 1}};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("layer_norm", constants),
                     {*x, *w, *b, *y, LayerNormArgs{{kCols, kStride, kStride, 1e-6f}, 1}}, {1}, 32);
  device.submit(*commands);
  expect_near(download(*y), std::vector<double>(kCols, 1.5), 0);
}

TEST(RowKernels, HaveNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  Random random;
  SCOPED_TRACE(testing::Message() << "seed " << random.seed());
  check_softmax(checking_device(), random_rows(random, 2, 77, 5.0f), 2);
  run_layer_norm(checking_device(), 77, 2, 0.0f);
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
