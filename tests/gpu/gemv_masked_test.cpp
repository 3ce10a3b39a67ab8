#include <algorithm>
#include <limits>

#include "gpu/gpu_weights.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/stored_matrix.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::MaskedGemvArgs;

struct MaskedProduct {
  DType type;
  std::int64_t rows;
  std::int64_t cols;
  std::uint32_t simdgroup_rows;
  std::uint32_t simdgroups;
  std::uint32_t percent;  // of blocks that are there
  bool tiled = false;
};

/// [⌈rows / 32⌉, ⌈cols / 1024⌉], with what lies past the columns left out.
std::vector<std::uint32_t> random_mask(const MaskedProduct& shape, Random& random) {
  std::vector<std::uint32_t> mask;
  for (std::int64_t row = 0; row < shape.rows; row += LATTICE_MASK_BLOCK) {
    for (std::int64_t word = 0; word < shape.cols; word += std::int64_t{32} * LATTICE_MASK_BLOCK) {
      std::uint32_t bits = 0;
      for (std::int64_t b = 0; b < 32 && word + b * LATTICE_MASK_BLOCK < shape.cols; ++b) {
        bits |= (random.below(100) < shape.percent ? 1u : 0u) << b;
      }
      mask.push_back(bits);
    }
  }
  return mask;
}

bool is_there(const std::vector<std::uint32_t>& mask, std::int64_t words, std::int64_t row,
              std::int64_t col) {
  const std::int64_t block = col / LATTICE_MASK_BLOCK;
  const auto word = static_cast<std::size_t>(row / LATTICE_MASK_BLOCK * words + block / 32);
  return (mask[word] >> (block % 32) & 1) != 0;
}

void run_masked(SoftDevice& device, const MaskedProduct& shape) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(shape.type) << ' ' << shape.rows << 'x' << shape.cols << ", "
                                  << shape.percent << " %, rows " << shape.simdgroup_rows << ", simdgroups "
                                  << shape.simdgroups << ", seed " << random.seed());
  const StoredMatrix stored(shape.type, shape.rows, shape.cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix =
      MatrixPacker{.device = device, .pool = pool, .exact = true, .tiled = shape.tiled}.one(stored.view);
  const std::vector<float> x = random.floats(static_cast<std::size_t>(shape.cols));
  const std::vector<std::uint32_t> mask = random_mask(shape, random);
  const std::int64_t words = (shape.cols + 1023) / 1024;

  const auto x_buffer = upload_vector(device, x),
             y = device.allocate(static_cast<std::size_t>(shape.rows) * 4);
  const auto mask_buffer = upload(device, mask);
  const auto none = device.allocate(16);
  const FunctionConstant constants[] = {{LATTICE_FC_ROWS, shape.simdgroup_rows},
                                        {LATTICE_FC_SIMDGROUPS, shape.simdgroups}};
  const MaskedGemvArgs args{matrix.rows, matrix.row_chunks, matrix.row_blocks, matrix.row_groups,
                            static_cast<std::uint32_t>(words)};
  const std::uint32_t group_rows = shape.simdgroup_rows * shape.simdgroups;
  const auto commands = device.new_commands();
  commands->dispatch(
      device.kernel("gemv_masked_" + kernel_suffix(shape.type), constants),
      {*matrix.quants, matrix.scales != nullptr ? *matrix.scales : *none, *mask_buffer, *x_buffer, *y, args},
      {(matrix.rows + group_rows - 1) / group_rows}, shape.simdgroups * 32);
  device.submit(*commands);

  std::vector<double> expected;
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const std::vector<float> row = stored.row(r);
    double sum = 0;
    for (std::int64_t c = 0; c < shape.cols; ++c) {
      const auto i = static_cast<std::size_t>(c);
      if (is_there(mask, words, r, c)) sum += double{row[i]} * x[i];
    }
    expected.push_back(sum);
  }
  expect_near(download(*y), expected, shape.type == DType::kQ4_0 ? 4e-5 : 1e-5);
}

TEST(GemvMasked, HoldsForEveryFormatAndOddSizes) {
  for (const DType type : kFormats) {
    for (const std::int64_t rows : {1, 31, 67}) {
      for (const std::int64_t cols : {32, 96, 1056, 2080})
        run_masked(fast_device(), {type, rows, cols, 4, 2, 50});
      if (is_block(type)) continue;
      for (const std::int64_t cols : {1, 33, 259}) run_masked(fast_device(), {type, rows, cols, 4, 2, 50});
    }
  }
}

TEST(GemvMasked, HoldsForEveryCombinationOfKnobs) {
  for (const DType type : {DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
    for (const std::uint32_t rows : {1u, 2u, 4u, 8u}) {
      for (const std::uint32_t simdgroups : {1u, 3u, 8u}) {
        for (const std::uint32_t percent : {0u, 20u, 100u}) {
          run_masked(fast_device(), {type, 70, 608, rows, simdgroups, percent});
          if (has_byte_gemv(type))
            run_masked(fast_device(), {type, 70, 608, rows, simdgroups, percent, true});
        }
      }
    }
  }
}

/// What is left out is not read: there, no number would make a sum that is none.
TEST(GemvMasked, ReadsNothingOfWhatIsLeftOut) {
  constexpr std::uint32_t kRows = 64, kCols = 64;
  SoftDevice& device = fast_device();
  std::vector<float> weights(std::size_t{kRows} * kCols, std::numeric_limits<float>::quiet_NaN());
  for (std::uint32_t r = 0; r < 32; ++r) std::fill_n(weights.begin() + r * kCols + 32, 32, 1.0f);
  const auto quants = upload(device, weights);
  const auto x = upload(device, std::vector<float>(kCols, 2.0f)),
             y = upload(device, std::vector<float>(kRows, 7.0f));
  const auto mask = upload(device, std::vector<std::uint32_t>{0b10, 0});
  const auto none = device.allocate(16);
  const FunctionConstant constants[] = {{LATTICE_FC_ROWS, 4}, {LATTICE_FC_SIMDGROUPS, 2}};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("gemv_masked_f32", constants),
                     {*quants, *none, *mask, *x, *y, MaskedGemvArgs{kRows, kCols / 4, kCols / 32, 0, 1}},
                     {kRows / 8}, 64);
  device.submit(*commands);
  std::vector<double> expected(kRows, 0.0);
  std::fill_n(expected.begin(), 32, 64.0);
  expect_near(download(*y), expected, 0);
}

TEST(GemvMasked, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  for (const DType type : kFormats)
    run_masked(checking_device(), {type, 35, is_block(type) ? 96 : 83, 4, 2, 50});
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
