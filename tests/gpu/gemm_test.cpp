#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/prefill_step.h"
#include "gpu/stored_matrix.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::PromptSpan;

struct GemmProduct {
  DType type;
  std::int64_t rows;
  std::int64_t cols;
  std::int32_t tokens;
  std::uint32_t epilogue = LATTICE_EPILOGUE_STORE;
  GemmShape gemm = {};
  std::uint32_t first = 0;  // the token that the result begins with
  bool tiled = false;       // the matrix lies in tiles
};

void run_gemm(SoftDevice& device, const GemmProduct& shape) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(shape.type) << ' ' << shape.rows << 'x' << shape.cols << ", "
                                  << shape.tokens << " tokens from " << shape.first << ", epilogue "
                                  << shape.epilogue << ", tile " << shape.gemm.tile_tokens << 'x'
                                  << shape.gemm.tile_rows << ", simdgroups " << shape.gemm.simd_tokens << 'x'
                                  << shape.gemm.simd_rows << ", seed " << random.seed());
  const StoredMatrix stored(shape.type, shape.rows, shape.cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix =
      MatrixPacker{.device = device, .pool = pool, .exact = true, .tiled = shape.tiled}.one(stored.view);
  const auto cols = static_cast<std::size_t>(shape.cols);
  const std::size_t x_stride = padded_floats(shape.cols);
  const auto tokens = static_cast<std::size_t>(shape.tokens);
  std::vector<float> x = random.floats(tokens * x_stride);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % x_stride < cols ? x[i] : 0.0f;
  const bool swiglu = shape.epilogue == LATTICE_EPILOGUE_SWIGLU;
  const auto outputs = static_cast<std::size_t>(swiglu ? shape.rows / 2 : shape.rows);
  const std::size_t y_stride =
      outputs + 3;  // what stands between the rows, and behind them, must stay as it is
  const std::size_t results = tokens - shape.first;
  const std::vector<float> before = random.floats((results + 1) * y_stride);

  const auto span = upload(device, std::vector<PromptSpan>{{5, shape.tokens}});
  const auto x_buffer = upload(device, x), y_buffer = upload(device, before);
  const auto none = device.allocate(16);
  const auto commands = device.new_commands();
  record_gemm(device, *commands,
              {.matrix = matrix,
               .x = *x_buffer,
               .x_stride = static_cast<std::uint32_t>(x_stride),
               .y = *y_buffer,
               .y_stride = static_cast<std::uint32_t>(y_stride),
               .y_first = 1,
               .epilogue = shape.epilogue,
               .first = shape.first},
              shape.gemm, static_cast<std::uint32_t>(results) + 70,  // more rows than there are tokens
              *span, *none);
  device.submit(*commands);

  std::vector<double> expected(before.begin(), before.end());
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const std::vector<float> row = stored.row(r);
    const std::vector<float> next = stored.row(std::min(r + 1, shape.rows - 1));
    for (std::size_t t = 0; t < results; ++t) {
      const auto of_token = std::span<const float>(x).subspan((shape.first + t) * x_stride, cols);
      double* out = &expected[t * y_stride + 1];
      if (swiglu) {
        if (r % 2 == 0) out[r / 2] = silu(product(row, of_token)) * product(next, of_token);
      } else {
        out[r] = product(row, of_token) + (shape.epilogue == LATTICE_EPILOGUE_ADD ? out[r] : 0.0);
      }
    }
  }
  // Partial sums of n products of random sign, each a third in size, reach √n / 3; n roundings of them, each
  // off by up to 2⁻²⁴ of that, add up to about n / 3 · 2⁻²⁴: 2e-5 for 1056, of which the largest of thousands
  // of results is seldom more than twice as much.
  expect_near(download(*y_buffer), expected, 5e-5);
}

TEST(Gemm, HoldsForEveryFormatAndTailsEveryWay) {
  for (const DType type : kFormats) {
    for (const std::int32_t tokens : {1, 7, 63, 64, 65, 70}) run_gemm(fast_device(), {type, 19, 96, tokens});
    for (const std::int64_t rows : {1, 63, 64, 65, 130}) run_gemm(fast_device(), {type, rows, 64, 9});
    run_gemm(fast_device(), {type, 9, 1056, 11});
    if (is_block(type)) continue;
    for (const std::int64_t cols : {1, 31, 33, 259}) run_gemm(fast_device(), {type, 10, cols, 5});
  }
}

TEST(Gemm, HoldsForEveryTile) {
  constexpr GemmShape kShapes[] = {{8, 8, 1, 1},   {32, 32, 1, 1}, {16, 64, 1, 2}, {64, 32, 2, 1},
                                   {32, 64, 2, 4}, {64, 64, 4, 2}, {64, 64, 2, 4}, {24, 40, 1, 5}};
  for (const GemmShape& gemm : kShapes) {
    run_gemm(fast_device(), {DType::kQ8_0, 70, 96, 41, LATTICE_EPILOGUE_STORE, gemm});
    run_gemm(fast_device(), {DType::kQ4_0, 70, 96, 41, LATTICE_EPILOGUE_SWIGLU, gemm});
    run_gemm(fast_device(), {DType::kBF16, 33, 77, 65, LATTICE_EPILOGUE_ADD, gemm});
  }
}

TEST(Gemm, HasItsEpilogues) {
  for (const DType type : kFormats) {
    run_gemm(fast_device(), {type, 66, 64, 21, LATTICE_EPILOGUE_ADD});
    run_gemm(fast_device(), {type, 66, 64, 70, LATTICE_EPILOGUE_SWIGLU});
  }
}

TEST(Gemm, TakesMatricesInTiles) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    for (const std::int64_t rows : {1, 19, 130}) {
      for (const std::int64_t cols : {32, 96, 352}) {
        run_gemm(fast_device(), {.type = type, .rows = rows, .cols = cols, .tokens = 9, .tiled = true});
      }
    }
  }
}

TEST(Gemm, BeginsWhereItIsTold) {
  run_gemm(fast_device(), {DType::kF32, 20, 40, 70, LATTICE_EPILOGUE_STORE, {}, 64});
  run_gemm(fast_device(), {DType::kF32, 20, 40, 70, LATTICE_EPILOGUE_STORE, {}, 3});
}

TEST(Gemm, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  constexpr GemmShape kSmall = {16, 16, 1, 2};
  for (const DType type : kFormats) {
    const std::int64_t cols = is_block(type) ? 96 : 45;
    run_gemm(checking_device(), {type, 11, cols, 19, LATTICE_EPILOGUE_ADD, kSmall});
    run_gemm(checking_device(), {type, 10, cols, 5, LATTICE_EPILOGUE_SWIGLU, kSmall});
  }
  run_gemm(checking_device(), {DType::kBF16, 66, 40, 7});
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
