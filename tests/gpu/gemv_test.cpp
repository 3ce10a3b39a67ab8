#include "gpu/decode_step.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/stored_matrix.h"
#include "lattice/error.hpp"

namespace lattice::gpu {
namespace {

constexpr float kEpsilon = 1e-5f;

struct Shape {
  DType type;
  std::int64_t rows;
  std::int64_t cols;
  GemvShape gemv;
  bool norm;
  std::uint32_t epilogue;
};

/// Q4_0 takes its offset off a sum, which costs two bits or so.
double tolerance_of(DType type) {
  return type == DType::kQ4_0 ? 4e-5 : 1e-5;
}

void run_gemv(SoftDevice& device, const Shape& shape, double tolerance) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(shape.type) << ' ' << shape.rows << 'x' << shape.cols
                                  << ", rows " << shape.gemv.rows << ", split " << shape.gemv.split
                                  << ", simdgroups " << shape.gemv.simdgroups << ", unroll "
                                  << shape.gemv.unroll << ", epilogue " << shape.epilogue << ", norm "
                                  << shape.norm << ", seed " << random.seed());
  const StoredMatrix stored(shape.type, shape.rows, shape.cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix = MatrixPacker{device, pool, true}.one(stored.view);
  const std::vector<float> x = random.floats(static_cast<std::size_t>(shape.cols));
  const std::vector<float> norm = random.floats(static_cast<std::size_t>(shape.cols));
  const bool swiglu = shape.epilogue == LATTICE_EPILOGUE_SWIGLU;
  const auto outputs = static_cast<std::size_t>(swiglu ? shape.rows / 2 : shape.rows);
  const std::vector<float> before = random.floats(outputs + 3);  // three more, which must stay as they are

  const auto x_buffer = upload_vector(device, x);
  const auto norm_buffer = upload_vector(device, norm);
  const auto y_buffer = upload(device, before);
  const auto none = device.allocate(16);
  const auto commands = device.new_commands();
  record_gemv(device, *commands,
              {.matrix = matrix,
               .x = *x_buffer,
               .norm = shape.norm ? norm_buffer.get() : nullptr,
               .y = *y_buffer,
               .y_first = 1,
               .epilogue = shape.epilogue,
               .epsilon = kEpsilon},
              shape.gemv, *none);
  device.submit(*commands);

  double squares = 0;
  for (const float value : x) squares += double{value} * value;
  const double factor = shape.norm ? 1 / std::sqrt(squares / static_cast<double>(x.size()) + kEpsilon) : 1;
  std::vector<double> products;
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const std::vector<float> row = stored.row(r);
    double sum = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      sum += double{row[i]} * x[i] * factor * (shape.norm ? double{norm[i]} : 1.0);
    }
    products.push_back(sum);
  }
  std::vector<double> expected(before.begin(), before.end());
  for (std::size_t i = 0; i < outputs; ++i) {
    if (swiglu) {
      expected[i + 1] = silu(products[2 * i]) * products[2 * i + 1];
    } else {
      expected[i + 1] = products[i] + (shape.epilogue == LATTICE_EPILOGUE_ADD ? double{before[i + 1]} : 0.0);
    }
  }
  expect_near(download(*y_buffer), expected, tolerance);
}

void run_gemv(SoftDevice& device, const Shape& shape) {
  run_gemv(device, shape, tolerance_of(shape.type));
}

TEST(Gemv, HoldsForEveryFormatAndOddSizes) {
  for (const DType type : kFormats) {
    for (const std::int64_t rows : {1, 7, 19}) {
      for (const std::int64_t cols : {32, 96, 1056})
        run_gemv(fast_device(), {type, rows, cols, {}, true, LATTICE_EPILOGUE_STORE});
      if (is_block(type)) continue;
      for (const std::int64_t cols : {1, 33, 259})
        run_gemv(fast_device(), {type, rows, cols, {}, true, LATTICE_EPILOGUE_STORE});
    }
  }
}

TEST(Gemv, HoldsForEveryCombinationOfKnobs) {
  for (const DType type : {DType::kBF16, DType::kQ8_0, DType::kQ4_0}) {
    for (const std::uint32_t rows : {1u, 2u, 4u, 8u}) {
      for (const auto& [split, simdgroups] :
           {std::pair(1u, 1u), std::pair(1u, 3u), std::pair(2u, 4u), std::pair(4u, 4u)}) {
        for (const std::uint32_t unroll : {1u, 2u, 4u}) {
          for (const bool norm : {false, true}) {
            const GemvShape shape{rows, split, simdgroups, unroll, /*ahead=*/norm};
            if (fits_stage(shape, type)) {
              run_gemv(fast_device(), {type, 13, 608, shape, norm, LATTICE_EPILOGUE_STORE});
            }
          }
        }
      }
    }
  }
}

TEST(Gemv, TakesRowsLongerThanAStage) {
  for (const DType type : kFormats) {
    for (const std::int64_t cols : {4096, 4128, 9216}) {
      run_gemv(fast_device(), {type, 9, cols, {4, 2, 4, 2, true}, true, LATTICE_EPILOGUE_STORE}, 1e-4);
      run_gemv(fast_device(), {type, 9, cols, {2, 3, 3, 1}, false, LATTICE_EPILOGUE_ADD}, 1e-4);
    }
  }
}

TEST(Gemv, RefusesShapesThatDoNotFitTheStage) {
  EXPECT_TRUE(fits_stage({8, 4, 4, 1}, DType::kQ4_0));
  EXPECT_FALSE(fits_stage({8, 4, 4, 2}, DType::kQ4_0));
  EXPECT_THROW(run_gemv(fast_device(), {DType::kQ4_0, 9, 4096, {4, 4, 4, 2}, true, LATTICE_EPILOGUE_STORE}),
               Error);
}

/// Every shape that is chosen fits, and leaves no core without work where there is work for all.
TEST(Gemv, ChoosesShapesThatFit) {
  for (const DType type : kFormats) {
    for (const std::uint32_t rows : {1u, 16u, 1024u, 8224u, 248320u}) {
      for (const std::uint32_t cols : {32u, 1024u, 3584u, 17408u}) {
        DeviceMatrix matrix;
        matrix.format = type;
        matrix.rows = rows;
        matrix.cols = cols;
        matrix.row_chunks = cols / chunk_cols(type);
        const GemvShape shape = choose_gemv_shape(132, matrix);
        EXPECT_TRUE(fits_stage(shape, type)) << dtype_name(type) << ' ' << rows << 'x' << cols;
        EXPECT_EQ(shape.simdgroups % shape.split, 0u);
      }
    }
  }
}

TEST(Gemv, HasItsEpilogues) {
  for (const DType type : kFormats) {
    for (const std::uint32_t split : {1u, 2u}) {
      run_gemv(fast_device(), {type, 21, 64, {4, split, 2, 2}, false, LATTICE_EPILOGUE_ADD});
      run_gemv(fast_device(), {type, 22, 64, {4, split, 2, 2}, true, LATTICE_EPILOGUE_SWIGLU});
    }
  }
}

TEST(Gemv, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  for (const DType type : kFormats) {
    const std::int64_t cols = is_block(type) ? 96 : 83;
    run_gemv(checking_device(), {type, 11, cols, {4, 2, 4, 2}, true, LATTICE_EPILOGUE_STORE});
    run_gemv(checking_device(), {type, 10, cols, {2, 1, 1, 1}, true, LATTICE_EPILOGUE_SWIGLU});
  }
  expect_no_finding(checking_device(), before);
}

void run_embed(SoftDevice& device, DType type, std::int64_t rows, std::int64_t cols, std::int32_t token) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(type) << ", token " << token << ", seed " << random.seed());
  const StoredMatrix stored(type, rows, cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix = MatrixPacker{device, pool, true}.one(stored.view);
  const auto step = upload(device, std::vector<lattice_gpu::StepState>{{token, 0}});
  const auto hidden = upload(device, std::vector<float>(static_cast<std::size_t>(cols) + 3, 7.0f));
  const auto none = device.allocate(16);
  const lattice_gpu::EmbedArgs args{matrix.cols, matrix.row_chunks, matrix.row_blocks, matrix.rows};
  const auto commands = device.new_commands();
  commands->dispatch(
      device.kernel("embed_" + kernel_suffix(type), {}),
      {*step, *matrix.quants, matrix.scales != nullptr ? *matrix.scales : *none, *hidden, args},
      {(matrix.row_chunks + 31) / 32}, 32);
  device.submit(*commands);
  const bool inside = token >= 0 && token < rows;
  const std::vector<float> row = stored.row(inside ? token : 0);
  std::vector<double> expected(row.begin(), row.end());
  expected.insert(expected.end(), 3, 7.0);  // nothing behind the row is touched
  expect_near(download(*hidden), expected, 0);
}

TEST(Embed, TakesTheTokensRow) {
  for (const DType type : kFormats) {
    for (const std::int64_t cols : {32, 96, 1120}) {
      for (const std::int32_t token : {0, 4, 8, 9, -1}) run_embed(fast_device(), type, 9, cols, token);
    }
    if (!is_block(type)) run_embed(fast_device(), type, 3, 77, 2);
  }
}

TEST(Embed, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  for (const DType type : kFormats) run_embed(checking_device(), type, 5, is_block(type) ? 96 : 83, 4);
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
