#include <algorithm>
#include <limits>
#include <numeric>

#include "gpu/cuda/cuda_device.h"
#include "gpu/decode_step.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/planes.h"
#include "gpu/stored_matrix.h"
#include "lattice/error.hpp"

namespace lattice::gpu {
namespace {

constexpr float kEpsilon = 1e-5f;

struct RowProduct {
  DType type;
  std::int64_t rows;
  std::int64_t cols;
  GemvShape gemv;
  bool norm;
  std::uint32_t epilogue;
  HeadNorm heads = {};
  bool from_planes = false;
};

/// Q4_0 takes its offset off a sum of floats, which costs two bits or so.
double tolerance_of(const RowProduct& shape) {
  return shape.type == DType::kQ4_0 && !shape.gemv.bytes ? 4e-5 : 1e-5;
}

std::vector<float> positive(Random& random, std::int64_t count) {
  std::vector<float> out = random.floats(static_cast<std::size_t>(std::max<std::int64_t>(count, 1)));
  for (float& x : out) x = std::abs(x) + 0.5f;
  return out;
}

/// What the gated norm has left for column `i`, from its head's sums of squares.
double head_factor(const HeadNorm& heads, const std::vector<float>& shares, std::size_t i) {
  if (heads.dim == 0) return 1;
  const auto first = shares.begin() + static_cast<std::ptrdiff_t>(i / heads.dim * heads.parts);
  return 1 / std::sqrt(std::accumulate(first, first + heads.parts, 0.0) / heads.dim + double{kEpsilon});
}

void run_gemv(Device& device, const RowProduct& shape, double tolerance) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(shape.type) << ' ' << shape.rows << 'x' << shape.cols
                                  << ", rows " << shape.gemv.rows << ", split " << shape.gemv.split
                                  << ", simdgroups " << shape.gemv.simdgroups << ", unroll "
                                  << shape.gemv.unroll << ", epilogue " << shape.epilogue << ", norm "
                                  << shape.norm << ", seed " << random.seed());
  const StoredMatrix stored(shape.type, shape.rows, shape.cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix =
      MatrixPacker{.device = device, .pool = pool, .exact = true, .tiled = shape.gemv.bytes}.one(stored.view);
  const std::vector<float> x = random.floats(static_cast<std::size_t>(shape.cols));
  const std::vector<float> norm = random.floats(static_cast<std::size_t>(shape.cols));
  const bool swiglu = shape.epilogue == LATTICE_EPILOGUE_SWIGLU;
  const auto outputs = static_cast<std::size_t>(swiglu ? shape.rows / 2 : shape.rows);
  const std::vector<float> before = random.floats(outputs + 3);  // three more, which must stay as they are

  const auto x_buffer = upload_vector(device, !shape.from_planes ? x
                                              : shape.norm ? in_normed_planes(planes_for(matrix), x, norm)
                                                           : in_planes(planes_for(matrix), x));
  const auto norm_buffer = upload_vector(device, norm);
  const auto y_buffer = upload(device, before);
  const auto none = device.allocate(16);
  std::vector<float> shares =
      positive(random, shape.cols / std::max(1u, shape.heads.dim) * shape.heads.parts);
  if (shape.from_planes) {  // of values of about 1, so that sums are of the size that the tolerance is for
    for (float& share : shares)
      share *= static_cast<float>(shape.heads.dim) / static_cast<float>(std::max(1u, shape.heads.parts));
  }
  const auto squares_buffer = upload_vector(device, shares);
  const auto commands = device.new_commands();
  record_gemv(device, *commands,
              {.matrix = matrix,
               .form = {.norm = shape.norm,
                        .heads = shape.heads,
                        .from_planes = shape.from_planes,
                        .epilogue = shape.epilogue},
               .x = *x_buffer,
               .y = *y_buffer,
               .y_first = 1,
               .norm = shape.norm && !shape.from_planes ? norm_buffer.get() : nullptr,
               .head_squares = squares_buffer.get(),
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
      sum += double{row[i]} * x[i] * factor * (shape.norm ? double{norm[i]} : 1.0) *
             head_factor(shape.heads, shares, i);
    }
    products.push_back(sum);
  }
  const std::vector<float> actual = download(*y_buffer);
  const auto bound = [&](double product) { return tolerance * (1 + std::abs(product)); };
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (i == 0 || i > outputs) {
      EXPECT_EQ(actual[i], before[i]) << "element " << i;
    } else if (swiglu) {
      const double gate = products[2 * i - 2], up = products[2 * i - 1];
      constexpr double kSteepest = 1.1;  // of silu
      const double error = kSteepest * bound(gate) * std::abs(up) + std::abs(silu(gate)) * bound(up);
      ASSERT_NEAR(actual[i], silu(gate) * up, error + tolerance) << "element " << i;
    } else {
      const double added = shape.epilogue == LATTICE_EPILOGUE_ADD ? double{before[i]} : 0.0;
      ASSERT_NEAR(actual[i], products[i - 1] + added, bound(products[i - 1] + added)) << "element " << i;
    }
  }
}

void run_gemv(Device& device, const RowProduct& shape) {
  run_gemv(device, shape, tolerance_of(shape));
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

GemvShape byte_shape(std::uint32_t rows, std::uint32_t split, std::uint32_t simdgroups,
                     std::uint32_t unroll) {
  return {.rows = rows, .split = split, .simdgroups = simdgroups, .unroll = unroll, .bytes = true};
}

/// Products of integers, with rows and columns that fill their tiles and such that do not.
void run_byte_gemvs(Device& device) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    for (const std::uint32_t rows : {16u, 32u}) {
      for (const auto& [split, simdgroups] :
           {std::pair(1u, 1u), std::pair(1u, 3u), std::pair(2u, 4u), std::pair(4u, 4u), std::pair(8u, 8u)}) {
        for (const std::uint32_t unroll : {1u, 2u, 4u}) {
          const bool norm = unroll != 2;
          const GemvShape shape = byte_shape(rows, split, simdgroups, unroll);
          run_gemv(device, {type, 41, 608, shape, norm, LATTICE_EPILOGUE_STORE});
          run_gemv(device, {type, 32, 1024, shape, norm, LATTICE_EPILOGUE_ADD});
        }
      }
      run_gemv(device, {type, 21, 64, byte_shape(rows, 2, 2, 2), false, LATTICE_EPILOGUE_ADD});
      run_gemv(device, {type, 70, 64, byte_shape(rows, 1, 2, 8), true, LATTICE_EPILOGUE_SWIGLU});
      run_gemv(device, {type, 1, 32, byte_shape(rows, 4, 4, 1), true, LATTICE_EPILOGUE_STORE});
      run_gemv(device, {type, 41, 3584, byte_shape(rows, 7, 7, 4), true, LATTICE_EPILOGUE_STORE}, 1e-4);
      run_gemv(device, {type, 36, 960, byte_shape(rows, 5, 10, 3), true, LATTICE_EPILOGUE_STORE});
      run_gemv(device, {type, 35, 9216, byte_shape(rows, 12, 12, 2), false, LATTICE_EPILOGUE_ADD}, 1e-4);
    }
    for (const std::int64_t cols : {4096, 4128, 9216}) {
      run_gemv(device, {type, 9, cols, byte_shape(16, 2, 4, 4), true, LATTICE_EPILOGUE_STORE}, 1e-4);
      run_gemv(device, {type, 9, cols, byte_shape(16, 3, 3, 1), false, LATTICE_EPILOGUE_ADD}, 1e-4);
    }
  }
}

TEST(Gemv, HoldsWithProductsOfIntegers) {
  run_byte_gemvs(fast_device());
}

void run_head_norms(Device& device) {
  for (const DType type : kFormats) {
    run_gemv(device, {type, 21, 256, {4, 2, 2, 1}, false, LATTICE_EPILOGUE_ADD, {64, 4}});
    run_gemv(device, {type, 9, 96, {2, 1, 2, 2}, false, LATTICE_EPILOGUE_STORE, {12, 1}});
    run_gemv(device, {type, 9, 4608, {2, 2, 4, 2}, false, LATTICE_EPILOGUE_STORE, {128, 2}}, 1e-4);
    if (!has_byte_gemv(type)) continue;
    run_gemv(device, {type, 21, 256, byte_shape(16, 2, 2, 1), false, LATTICE_EPILOGUE_ADD, {64, 4}});
    run_gemv(device, {type, 9, 4608, byte_shape(16, 4, 4, 2), false, LATTICE_EPILOGUE_STORE, {128, 2}}, 1e-4);
  }
}

TEST(Gemv, AppliesWhatTheHeadsNormHasLeft) {
  run_head_norms(fast_device());
}

void run_from_planes(Device& device, DType type) {
  const auto run = [&](std::int64_t rows, std::int64_t cols, const GemvShape& shape, HeadNorm heads = {}) {
    const double tolerance = cols >= 4096 ? 1e-4 : 1e-5;
    run_gemv(device, {type, rows, cols, shape, false, LATTICE_EPILOGUE_ADD, heads, /*from_planes=*/true},
             tolerance);
  };
  run(21, 256, byte_shape(16, 2, 2, 1), {64, 4});
  run(21, 2048, byte_shape(16, 8, 16, 4), {128, 4});
  run(16, 32, byte_shape(16, 4, 4, 1));
  run(41, 608, byte_shape(32, 1, 3, 2));
  run(32, 3584, byte_shape(32, 7, 7, 4));
  run(9, 4224, byte_shape(16, 1, 1, 4));
  GemvShape ahead = byte_shape(16, 2, 4, 3);
  ahead.ahead = true;
  run(35, 1920, ahead);  // 15 units in rounds of 6
  run(35, 2304, ahead);  // and 18
  run(35, 9216, byte_shape(16, 12, 12, 2));
  run(9, 4608, byte_shape(16, 4, 4, 2), {128, 2});
  const auto run_norm = [&](std::int64_t rows, std::int64_t cols, const GemvShape& shape,
                            std::uint32_t epilogue) {
    run_gemv(device, {type, rows, cols, shape, /*norm=*/true, epilogue, {}, /*from_planes=*/true},
             cols >= 4096 ? 1e-4 : 1e-5);
  };
  run_norm(21, 256, byte_shape(16, 2, 2, 1), LATTICE_EPILOGUE_STORE);
  run_norm(70, 1056, byte_shape(16, 1, 3, 2), LATTICE_EPILOGUE_SWIGLU);
  run_norm(35, 2048, byte_shape(32, 4, 8, 4), LATTICE_EPILOGUE_STORE);
  run_norm(9, 5120, byte_shape(16, 2, 4, 4), LATTICE_EPILOGUE_STORE);
}

TEST(Gemv, ReadsInputsInPlanes) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) run_from_planes(fast_device(), type);
}

/// Whether these are the planes of the values that they have, to the last bit of the scales.
void expect_planes(std::uint32_t kind, std::span<const float> planes, std::span<const float> values) {
  const std::size_t cols = values.size();
  std::vector<float> again = in_planes(kind, values);
  for (std::size_t group = 0; kind == LATTICE_PLANES_BYTES && group < cols; group += kPlaneGroup) {
    const std::size_t fourth = group + kPlaneGroup * 3 / 4;  // whose place is nobody's
    std::ranges::copy(planes.subspan(fourth, kPlaneGroup / 4),
                      again.begin() + static_cast<std::ptrdiff_t>(fourth));
  }
  EXPECT_EQ(std::memcmp(planes.data(), again.data(), again.size() * sizeof(float)), 0);
}

/// SwiGLU's output in planes, and sums as floats and in planes.
void run_to_planes(Device& device, DType type, std::int64_t rows, const GemvShape& shape) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(type) << ", " << rows << " rows, seed " << random.seed());
  constexpr std::int64_t kCols = 96;
  const StoredMatrix stored(type, rows, kCols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix =
      MatrixPacker{.device = device, .pool = pool, .exact = true, .tiled = true}.one(stored.view);
  const std::vector<float> x = random.floats(kCols);
  const std::vector<float> before = random.floats(static_cast<std::size_t>(rows));
  const std::vector<float> next_norm = random.floats(static_cast<std::size_t>(rows));
  const auto x_buffer = upload_vector(device, x);
  const auto next_norm_buffer = upload_vector(device, next_norm);
  const auto none = device.allocate(16);
  const auto near = [](float actual, double expected, std::size_t i) {
    ASSERT_NEAR(actual, expected, 1e-4 * (1 + std::abs(expected))) << "element " << i;
  };
  const auto row = [&](std::size_t i) { return product(stored.row(static_cast<std::int64_t>(i)), x); };
  const auto run = [&](std::uint32_t epilogue, std::uint32_t planes, std::size_t floats) {
    EXPECT_TRUE(leaves_planes(shape, matrix, epilogue));
    std::vector<float> y = before;
    y.resize(floats);
    const auto y_buffer = upload(device, y);
    const auto commands = device.new_commands();
    record_gemv(device, *commands,
                {.matrix = matrix,
                 .form = {.epilogue = epilogue, .to_planes = planes},
                 .x = *x_buffer,
                 .y = *y_buffer,
                 .next_norm = next_norm_buffer.get()},
                shape, *none);
    device.submit(*commands);
    return download(*y_buffer);
  };
  for (const std::uint32_t planes : {LATTICE_PLANES_BYTES, LATTICE_PLANES_NIBBLES}) {
    const auto outputs = static_cast<std::size_t>(rows / 2);
    const std::vector<float> left = run(LATTICE_EPILOGUE_SWIGLU, planes, planes_floats(outputs));
    const std::vector<float> activated = of_planes(planes, outputs, left);
    for (std::size_t i = 0; i < outputs; ++i) near(activated[i], silu(row(2 * i)) * row(2 * i + 1), i);
    expect_planes(planes, left, activated);

    const std::size_t sums = 2 * outputs;
    const std::vector<float> both =
        run(LATTICE_EPILOGUE_ADD, planes, sums + planes_floats(sums) + sums / kPlaneBlock);
    const std::span<const float> behind = std::span(both).subspan(sums);
    const std::vector<float> weighted = of_planes(planes, sums, behind);
    std::vector<double> squares(sums / kPlaneBlock);
    for (std::size_t i = 0; i < sums; ++i) {
      near(both[i], before[i] + row(i), i);
      near(weighted[i], double{both[i]} * next_norm[i], i);
      squares[i / kPlaneBlock] += double{both[i]} * both[i];
    }
    expect_planes(planes, behind, weighted);
    expect_near(std::vector<float>(behind.end() - static_cast<std::ptrdiff_t>(squares.size()), behind.end()),
                squares, 1e-5);
  }
}

TEST(Gemv, LeavesOutputsInPlanes) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    run_to_planes(fast_device(), type, 64, byte_shape(16, 1, 4, 1));
    run_to_planes(fast_device(), type, 320, byte_shape(32, 2, 8, 1));
  }
  const DeviceMatrix matrix = shaped_matrix(DType::kQ8_0, 96, 64, true);
  EXPECT_FALSE(leaves_planes(byte_shape(16, 1, 3, 1), matrix, LATTICE_EPILOGUE_SWIGLU));
  EXPECT_FALSE(leaves_planes(byte_shape(16, 1, 4, 1), matrix, LATTICE_EPILOGUE_SWIGLU));
  EXPECT_TRUE(leaves_planes(byte_shape(16, 1, 2, 1), matrix, LATTICE_EPILOGUE_ADD));
  EXPECT_FALSE(leaves_planes(byte_shape(16, 1, 1, 1), matrix, LATTICE_EPILOGUE_ADD));
}

TEST(Gemv, HoldsOnCuda) {
  if (!cuda_absence().empty()) GTEST_SKIP() << cuda_absence();
  CudaDevice device;
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {  // each shape is compiled: fewer than above
    for (const GemvShape& shape : {byte_shape(16, 1, 1, 1), byte_shape(16, 8, 8, 2), byte_shape(32, 2, 8, 2),
                                   byte_shape(32, 4, 4, 4), byte_shape(16, 3, 6, 3)}) {
      run_gemv(device, {type, 41, 608, shape, true, LATTICE_EPILOGUE_STORE});
      run_gemv(device, {type, 32, 1024, shape, true, LATTICE_EPILOGUE_ADD});
      run_gemv(device, {type, 70, 64, shape, true, LATTICE_EPILOGUE_SWIGLU});
      run_gemv(device, {type, 32, 4224, shape, false, LATTICE_EPILOGUE_ADD}, 1e-4);
    }
    GemvShape twice = byte_shape(16, 4, 12, 4);
    twice.resident = 2;
    run_gemv(device, {type, 70, 2048, twice, true, LATTICE_EPILOGUE_SWIGLU});
    run_gemv(device, {type, 21, 256, byte_shape(16, 2, 2, 1), false, LATTICE_EPILOGUE_ADD, {64, 4}});
  }
  for (const DType type : kFormats) {
    run_gemv(device, {type, 21, 256, {4, 2, 2, 1}, false, LATTICE_EPILOGUE_ADD, {64, 4}});
    run_gemv(device, {type, 21, 1056, {4, 2, 4, 2}, true, LATTICE_EPILOGUE_STORE});
    run_gemv(device, {type, 22, 64, {4, 1, 2, 1}, false, LATTICE_EPILOGUE_SWIGLU});
    run_gemv(device, {type, 9, 4128, {4, 2, 4, 2, true}, true, LATTICE_EPILOGUE_ADD}, 1e-4);
  }
}

TEST(Gemv, PassesPlanesOnCuda) {
  if (!cuda_absence().empty()) GTEST_SKIP() << cuda_absence();
  CudaDevice device;
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    run_from_planes(device, type);
    run_to_planes(device, type, 320, byte_shape(32, 2, 8, 1));
  }
}

/// An input that is no number, or infinite, is not lost in products of integers; nor are very small and large
/// ones.
TEST(Gemv, KeepsWhatIsNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [type, value] : {std::pair(DType::kQ8_0, nan), std::pair(DType::kQ8_0, infinity),
                                    std::pair(DType::kQ4_0, nan), std::pair(DType::kQ4_0, infinity)}) {
    Random random;
    const StoredMatrix stored(type, 16, 64, random);
    ThreadPool pool(1);
    const DeviceMatrix matrix =
        MatrixPacker{.device = fast_device(), .pool = pool, .exact = true, .tiled = true}.one(stored.view);
    std::vector<float> x = random.floats(64);
    x[random.below(64)] = value;
    const auto x_buffer = upload_vector(fast_device(), x);
    const auto y_buffer = fast_device().allocate(64);
    const auto none = fast_device().allocate(16);
    const auto commands = fast_device().new_commands();
    record_gemv(fast_device(), *commands, {.matrix = matrix, .x = *x_buffer, .y = *y_buffer},
                byte_shape(16, 1, 1, 1), *none);
    fast_device().submit(*commands);
    for (const float y : download(*y_buffer)) EXPECT_FALSE(std::isfinite(y));
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

TEST(Gemv, RefusesShapesOfTheOtherLayout) {
  Random random;
  const StoredMatrix stored(DType::kQ8_0, 16, 64, random);
  ThreadPool pool(1);
  const auto x = upload_vector(fast_device(), random.floats(64));
  const auto commands = fast_device().new_commands();
  for (const bool tiled : {false, true}) {
    const DeviceMatrix matrix =
        MatrixPacker{.device = fast_device(), .pool = pool, .exact = true, .tiled = tiled}.one(stored.view);
    const GemvShape other = tiled ? GemvShape{4, 1, 2, 1} : byte_shape(16, 1, 1, 1);
    EXPECT_THROW(record_gemv(fast_device(), *commands, {.matrix = matrix, .x = *x, .y = *x}, other, *x),
                 Error);
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
    for (const std::uint32_t rows : {1u, 16u, 1024u, 2560u, 8224u, 24576u, 248320u}) {
      for (const std::uint32_t cols :
           {32u, 96u, 1024u, 2048u, 2560u, 3584u, 4096u, 6144u, 9216u, 12288u, 17408u}) {
        const DeviceMatrix matrix = shaped_matrix(type, rows, cols, /*tiled=*/true);
        const GemvShape shape = choose_gemv_shape(132, matrix);
        EXPECT_TRUE(fits_stage(shape, type)) << dtype_name(type) << ' ' << rows << 'x' << cols;
        EXPECT_EQ(shape.simdgroups % shape.split, 0u);
        constexpr std::uint32_t kThreads = 2048;  // that a core holds
        EXPECT_LE(shape.resident * shape.simdgroups * kSimdWidth, kThreads);
      }
    }
  }
}

/// The released models' products read planes, and who comes before, with its own shape, leaves whole groups.
TEST(Gemv, ChoosesShapesThatLeaveThePlanesOthersRead) {
  struct Layer {
    int hidden, inner, mixed, projections;
  };
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    const auto check = [&](int rows, int cols, std::uint32_t epilogue, int reader_rows, int reader_cols) {
      const DeviceMatrix reader = shaped_matrix(type, reader_rows, reader_cols, /*tiled=*/true);
      EXPECT_TRUE(choose_gemv_shape(132, reader).planes)
          << dtype_name(type) << ' ' << reader_rows << 'x' << reader_cols;
      const DeviceMatrix writer = shaped_matrix(type, rows, cols, /*tiled=*/true);
      EXPECT_TRUE(leaves_planes(choose_gemv_shape(132, writer), writer, epilogue))
          << dtype_name(type) << ' ' << rows << 'x' << cols;
    };
    for (const Layer& layer :
         {Layer{1024, 3584, 2048, 8224}, Layer{2048, 6144, 2048, 8224}, Layer{2560, 9216, 4096, 12352},
          Layer{4096, 12288, 4096, 12352}, Layer{5120, 17408, 6144, 16480}}) {
      check(layer.hidden, layer.mixed, LATTICE_EPILOGUE_ADD, 2 * layer.inner, layer.hidden);
      check(2 * layer.inner, layer.hidden, LATTICE_EPILOGUE_SWIGLU, layer.hidden, layer.inner);
      check(layer.hidden, layer.inner, LATTICE_EPILOGUE_ADD, layer.projections, layer.hidden);
    }
  }
}

/// The compiler hears of threadgroups to a core where a shape counts on them, and nowhere else.
TEST(Gemv, TellsHowOftenItStandsOnACore) {
  const DeviceMatrix matrix = shaped_matrix(DType::kQ4_0, 64, 1024, /*tiled=*/true);
  GemvShape shape = byte_shape(16, 4, 4, 2);
  const auto told = [&] {
    const auto constants = gemv_constants(shape, matrix, {});
    return std::ranges::count(constants, std::uint32_t{LATTICE_FC_RESIDENT}, &FunctionConstant::index);
  };
  EXPECT_EQ(told(), 0);
  shape.resident = 2;
  EXPECT_EQ(told(), 1);
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
    if (!has_byte_gemv(type)) continue;
    run_gemv(checking_device(), {type, 19, 96, byte_shape(16, 2, 4, 1), true, LATTICE_EPILOGUE_STORE});
    run_gemv(checking_device(), {type, 64, 128, byte_shape(32, 1, 2, 1), false, LATTICE_EPILOGUE_SWIGLU});
    run_gemv(checking_device(),
             {type, 19, 96, byte_shape(16, 2, 4, 1), false, LATTICE_EPILOGUE_ADD, {}, true});
    run_gemv(checking_device(),
             {type, 20, 96, byte_shape(16, 1, 4, 1), true, LATTICE_EPILOGUE_SWIGLU, {}, true});
    run_to_planes(checking_device(), type, 64, byte_shape(32, 1, 2, 1));
  }
  expect_no_finding(checking_device(), before);
}

void run_embed(SoftDevice& device, DType type, std::int64_t rows, std::int64_t cols, std::int32_t token,
               bool tiled = false) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(type) << ", token " << token << ", seed " << random.seed());
  const StoredMatrix stored(type, rows, cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix =
      MatrixPacker{.device = device, .pool = pool, .exact = true, .tiled = tiled}.one(stored.view);
  const auto step = upload(device, std::vector<lattice_gpu::StepState>{{token, 0}});
  const auto hidden = upload(device, std::vector<float>(static_cast<std::size_t>(cols) + 3, 7.0f));
  const auto none = device.allocate(16);
  const lattice_gpu::EmbedArgs args{matrix.cols, matrix.row_chunks, matrix.row_blocks, matrix.row_groups,
                                    matrix.rows};
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
    if (!has_byte_gemv(type)) continue;
    for (const std::int64_t cols : {32, 96, 1120}) {
      for (const std::int32_t token : {0, 7, 8, 15, 16, 34, 35}) {
        run_embed(fast_device(), type, 35, cols, token, /*tiled=*/true);
      }
    }
  }
}

TEST(Embed, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  for (const DType type : kFormats) {
    run_embed(checking_device(), type, 5, is_block(type) ? 96 : 83, 4, has_byte_gemv(type));
  }
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
