// What surrounds the matrix library of a device that has one: kernels/pack.metal, Commands::product() and
// packed_products.h.

#include <algorithm>
#include <functional>
#include <numeric>

#include "gpu/cuda/cuda_device.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/packed_products.h"
#include "gpu/stored_matrix.h"
#include "lattice/error.hpp"
#include "support/float16.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::PackArgs;
using lattice_gpu::PromptSpan;

constexpr std::uint32_t kPackedRows = 6;  // that are recorded; fewer tokens are fed
constexpr std::uint16_t kUntouched = 0x5555;

/// Of a packed number: what rounding to the parts loses, as a share of it. And what half loses of numbers
/// below its normal range, as a share of the row's largest, which is packed as 2¹⁴ or more: 2⁻²⁵ ÷ 2¹⁴, and
/// more where the second part is that small.
double relative_error(const Packing& packing) {
  if (packing.bfloat) return packing.parts == 1 ? 0x1p-8 : 0x1p-16;
  return packing.parts == 1 ? 0x1p-11 : 0x1p-21;
}
constexpr double kFloor = 0x1p-38;

constexpr Packing kPackings[] = {{false, 1}, {false, 2}, {true, 1}, {true, 2}};

std::vector<FunctionConstant> constants_of(const Packing& packing, std::uint32_t simdgroups) {
  return {{LATTICE_FC_SIMDGROUPS, simdgroups},
          {LATTICE_FC_PARTS, packing.parts},
          {LATTICE_FC_BFLOAT, packing.bfloat ? 1u : 0u}};
}

std::vector<std::uint16_t> bits_of(const Buffer& buffer) {
  std::vector<std::uint16_t> out(buffer.bytes() / sizeof(std::uint16_t));
  buffer.download<std::uint16_t>(out);
  return out;
}

double value_of(std::uint16_t bits, const Packing& packing) {
  return packing.bfloat ? bf16_to_f32(bits) : f16_to_f32(bits);
}

/// Expects packed rows [parts, kPackedRows, stride] to hold `expected` [tokens, cols], times their row's
/// factor, and nothing to have been written behind the rows' ends and tokens.
void expect_packed(const std::vector<std::uint16_t>& bits, const Packing& packing, std::uint32_t stride,
                   std::uint32_t cols, const std::vector<double>& expected,
                   const std::function<double(std::size_t token)>& undo, double own_error) {
  const std::size_t tokens = expected.size() / cols;
  for (std::size_t t = 0; t < kPackedRows; ++t) {
    double largest = 0;
    for (std::size_t i = 0; t < tokens && i < cols; ++i) {
      largest = std::max(largest, std::abs(expected[t * cols + i]));
    }
    for (std::size_t i = 0; i < stride; ++i) {
      if (t >= tokens || i >= (cols + 3) / 4 * 4) {
        for (std::size_t p = 0; p < 2; ++p)
          ASSERT_EQ(bits[(p * kPackedRows + t) * stride + i], kUntouched) << t << ' ' << i;
        continue;
      }
      double sum = 0;
      for (std::size_t p = 0; p < packing.parts; ++p) {
        sum += value_of(bits[(p * kPackedRows + t) * stride + i], packing);
      }
      const double wanted = i < cols ? expected[t * cols + i] : 0.0;
      const double allowed =
          std::abs(wanted) * (relative_error(packing) + own_error) + largest * (kFloor + own_error);
      ASSERT_NEAR(sum * undo(t), wanted, allowed) << "token " << t << ", column " << i;
    }
  }
}

/// Rows whose numbers differ widely, and one of zeros.
std::vector<float> wide_rows(Random& random, std::size_t tokens, std::uint32_t stride, std::uint32_t cols) {
  std::vector<float> out(tokens * stride);
  for (std::size_t t = 0; t < tokens; ++t) {
    const float size = t == 2 ? 0.0f : std::ldexp(1.0f, static_cast<int>(random.below(120)) - 60);
    for (std::uint32_t i = 0; i < cols; ++i) {
      out[t * stride + i] = size * random.uniform(-1, 1) * (random.below(8) == 0 ? 3e5f : 1.0f);
    }
  }
  return out;
}

void run_pack(SoftDevice& device, const Packing& packing, std::uint32_t cols, std::uint32_t tokens,
              bool swiglu, std::uint32_t simdgroups = 2) {
  Random random;
  SCOPED_TRACE(testing::Message() << cols << " columns, " << tokens << " tokens, " << packing.parts
                                  << " parts, " << (packing.bfloat ? "bfloat" : "half")
                                  << (swiglu ? ", SwiGLU" : "") << ", seed " << random.seed());
  const auto in_cols = swiglu ? 2 * cols : cols;
  const auto in_stride = static_cast<std::uint32_t>(padded_floats(in_cols));
  const auto stride = static_cast<std::uint32_t>(padded_floats(cols)) + 32;
  std::vector<float> x = swiglu ? random.floats(std::size_t{kPackedRows} * in_stride, 9.0f)
                                : wide_rows(random, kPackedRows, in_stride, in_cols);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % in_stride < in_cols ? x[i] : 0.0f;
  std::vector<double> expected;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t i = 0; i < cols; ++i) {
      const float* row = &x[t * in_stride];
      expected.push_back(swiglu ? silu(row[2 * i]) * row[2 * i + 1] : double{row[i]});
    }
  }

  const auto span = upload(device, std::vector<PromptSpan>{{3, static_cast<std::int32_t>(tokens)}});
  const auto in = upload(device, x);
  const auto packed =
      upload(device, std::vector<std::uint16_t>(std::size_t{2} * kPackedRows * stride, kUntouched));
  const auto scales = upload(device, std::vector<float>(kPackedRows, 7.0f));
  const PackArgs args{cols, in_stride, 0, stride, kPackedRows * stride, 0, 0};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel(swiglu ? "swiglu_packed" : "pack_rows", constants_of(packing, simdgroups)),
                     {*span, *in, *packed, *scales, args}, {kPackedRows}, simdgroups * 32);
  device.submit(*commands);
  const std::vector<float> undo = download(*scales);
  const double own_error = swiglu ? 1e-6 : 0;  // of the exponential
  expect_packed(
      bits_of(*packed), packing, stride, cols, expected, [&](std::size_t t) { return undo[t]; }, own_error);
  for (std::size_t t = tokens; t < kPackedRows; ++t) EXPECT_EQ(undo[t], 7.0f);
}

TEST(Pack, KeepsRowsOfEverySize) {
  for (const Packing& packing : kPackings) {
    for (const std::uint32_t cols : {1u, 4u, 31u, 256u, 1000u, 4100u}) {
      run_pack(fast_device(), packing, cols, kPackedRows, false);
      run_pack(fast_device(), packing, cols, 3, true);
    }
    run_pack(fast_device(), packing, 700, 1, false, 8);
  }
}

TEST(Pack, LetsNoBrokenNumberPass) {
  SoftDevice& device = fast_device();
  for (const Packing& packing : kPackings) {
    for (const float broken : {NAN, INFINITY, -INFINITY}) {
      const auto span = upload(device, std::vector<PromptSpan>{{0, 1}});
      const auto in = upload(device, std::vector<float>{1, broken, 2, 3});
      const auto packed = device.allocate(16);
      const auto scales = device.allocate(4);
      const PackArgs args{4, 4, 0, 4, 4, 0, 0};
      const auto commands = device.new_commands();
      commands->dispatch(device.kernel("pack_rows", constants_of(packing, 1)),
                         {*span, *in, *packed, *scales, args}, {1}, 32);
      device.submit(*commands);
      const std::vector<std::uint16_t> bits = bits_of(*packed);
      double sum = 0;
      for (std::size_t p = 0; p < packing.parts; ++p) sum += value_of(bits[4 * p + 1], packing);
      EXPECT_FALSE(std::isfinite(sum * download(*scales)[0])) << broken;
    }
  }
}

void run_norm(SoftDevice& device, const Packing& packing, std::uint32_t cols, std::uint32_t tokens, bool add,
              bool with_floats, std::uint32_t simdgroups = 2) {
  Random random;
  SCOPED_TRACE(testing::Message() << cols << " columns, " << tokens << " tokens, add " << add << ", floats "
                                  << with_floats << ", seed " << random.seed());
  constexpr float kEpsilon = 1e-5f;
  constexpr float kFactor = 64;
  const auto stride = static_cast<std::uint32_t>(padded_floats(cols));
  const std::uint32_t sums_stride = stride + 4;
  const std::uint32_t out_stride = stride + 32;
  std::vector<float> x = random.floats(std::size_t{kPackedRows} * stride, 3.0f);
  std::vector<float> sums = random.floats(std::size_t{kPackedRows} * sums_stride, 3.0f);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % stride < cols ? x[i] : 0.0f;
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = i % sums_stride < cols ? sums[i] : 0.0f;
  const std::vector<float> scales = random.floats(kPackedRows, 2.0f);
  const std::vector<float> weight = random.floats(cols);
  std::vector<double> stream(x.begin(), x.end());
  std::vector<double> expected;
  for (std::size_t t = 0; t < tokens; ++t) {
    double squares = 0;
    for (std::size_t i = 0; i < cols; ++i) {
      double& value = stream[t * stride + i];
      if (add) value += double{sums[t * sums_stride + i]} * scales[t];
      squares += value * value;
    }
    const double factor = 1 / std::sqrt(squares / cols + kEpsilon);
    for (std::size_t i = 0; i < cols; ++i) expected.push_back(stream[t * stride + i] * factor * weight[i]);
  }

  const auto span = upload(device, std::vector<PromptSpan>{{3, static_cast<std::int32_t>(tokens)}});
  const auto in = upload(device, x), sums_buffer = upload(device, sums),
             scales_buffer = upload(device, scales), weights = upload_vector(device, weight);
  const auto packed =
      upload(device, std::vector<std::uint16_t>(std::size_t{2} * kPackedRows * out_stride, kUntouched));
  const auto floats = upload(device, std::vector<float>(x.size(), 7.0f));
  std::vector<FunctionConstant> constants = constants_of(packing, simdgroups);
  constants.push_back({LATTICE_FC_ADD, add ? 1u : 0u});
  constants.push_back({LATTICE_FC_FLOATS, with_floats ? 1u : 0u});
  const PackArgs args{cols, stride, sums_stride, out_stride, kPackedRows * out_stride, kEpsilon, kFactor};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("norm_packed", constants),
                     {*span, *in, *sums_buffer, *scales_buffer, *weights, *packed, *floats, args},
                     {kPackedRows}, simdgroups * 32);
  device.submit(*commands);
  constexpr double kOwnError = 1e-6;  // of the norm in float32
  expect_packed(
      bits_of(*packed), packing, out_stride, cols, expected, [](std::size_t) { return 1.0 / kFactor; },
      kOwnError + 0x1p-24 /* of numbers half has below 2⁻¹⁴ */);
  expect_near(download(*in), stream, 1e-6);
  std::vector<double> wanted(x.size(), 7.0);
  for (std::size_t t = 0; with_floats && t < tokens; ++t) {
    for (std::size_t i = 0; i < (cols + 3) / 4 * 4; ++i) {
      wanted[t * stride + i] = i < cols ? expected[t * cols + i] : 0.0;
    }
  }
  expect_near(download(*floats), wanted, 1e-5);
}

TEST(PackedNorm, AddsNormsAndPacks) {
  for (const Packing& packing : kPackings) {
    for (const std::uint32_t cols : {1u, 5u, 32u, 129u, 1000u, 4100u}) {
      run_norm(fast_device(), packing, cols, 5, true, false);
      run_norm(fast_device(), packing, cols, kPackedRows, false, true);
    }
    run_norm(fast_device(), packing, 300, 2, true, true, 8);
  }
}

void run_add(SoftDevice& device) {
  Random random;
  SCOPED_TRACE(testing::Message() << "seed " << random.seed());
  const std::vector<float> x = random.floats(kPackedRows * 8), sums = random.floats(kPackedRows * 9),
                           scales = random.floats(kPackedRows);
  const auto span = upload(device, std::vector<PromptSpan>{{0, 4}});
  const auto in = upload(device, x), added = upload(device, sums), factors = upload(device, scales);
  const PackArgs args{7, 8, 9, 0, 0, 0, 0};
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, 1}};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("add_rows", constants), {*span, *in, *added, *factors, args},
                     {kPackedRows}, 32);
  device.submit(*commands);
  std::vector<double> expected(x.begin(), x.end());
  for (std::size_t t = 0; t < 4; ++t) {
    for (std::size_t i = 0; i < 7; ++i) expected[t * 8 + i] += double{sums[t * 9 + i]} * scales[t];
  }
  expect_near(download(*in), expected, 1e-6);
}

TEST(AddRows, AddsScaledRows) {
  run_add(fast_device());
}

void run_unpack(SoftDevice& device, DType type, std::int64_t rows, std::int64_t cols, bool tiled = false) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(type) << ' ' << rows << 'x' << cols << ", seed "
                                  << random.seed());
  const StoredMatrix stored(type, rows, cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix =
      MatrixPacker{.device = device, .pool = pool, .exact = true, .tiled = tiled}.one(stored.view);
  // Every weight times the factor is below 2¹⁵, and the largest not far below.
  EXPECT_GE(matrix.half_factor, 0x1p10f);
  const auto out =
      upload(device, std::vector<std::uint16_t>(static_cast<std::size_t>(rows * cols), kUntouched));
  const lattice_gpu::UnpackArgs args{matrix.rows * matrix.row_chunks, matrix.row_chunks, matrix.row_blocks,
                                     matrix.row_groups, matrix.half_factor};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("unpack_" + kernel_suffix(type), {}),
                     {*matrix.quants, *matrix.scales, *out, args}, {args.chunks / 32 + 1}, 32);
  device.submit(*commands);
  const std::vector<std::uint16_t> bits = bits_of(*out);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::vector<float> row = stored.row(r);
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double half = f16_to_f32(bits[static_cast<std::size_t>(r) * row.size() + i]);
      ASSERT_NEAR(half, double{row[i]} * matrix.half_factor, std::abs(half) * 0x1p-11) << r << ' ' << i;
    }
  }
}

TEST(Unpack, MakesHalfOfBlocks) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    run_unpack(fast_device(), type, 1, 32);
    run_unpack(fast_device(), type, 7, 352);
    for (const std::int64_t tiled_rows : {1, 16, 41}) {
      for (const std::int64_t cols : {32, 128, 352}) run_unpack(fast_device(), type, tiled_rows, cols, true);
    }
  }
}

TEST(Pack, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  for (const Packing& packing : kPackings) {
    run_pack(checking_device(), packing, 70, 3, false);
    run_pack(checking_device(), packing, 70, 3, true);
    run_norm(checking_device(), packing, 70, 3, true, true);
  }
  run_add(checking_device());
  run_unpack(checking_device(), DType::kQ8_0, 3, 64);
  run_unpack(checking_device(), DType::kQ4_0, 3, 64);
  run_unpack(checking_device(), DType::kQ8_0, 19, 96, true);
  expect_no_finding(checking_device(), before);
}

/// The devices with a library of products that are here.
std::vector<Device*> product_devices() {
  static SoftDevice soft(2, true);
  std::vector<Device*> out = {&soft};
  if (cuda_absence().empty()) {
    static CudaDevice cuda;
    if (cuda.has_products()) out.push_back(&cuda);
  }
  return out;
}

struct ProductShape {
  std::uint32_t vectors;
  std::uint32_t rows;
  std::uint32_t cols;
  bool accumulate = false;
  std::size_t first = 0;  // of y, in floats
};

void run_product(Device& device, MatrixProduct::Element element, const ProductShape& shape) {
  Random random;
  SCOPED_TRACE(testing::Message() << device.description() << ", " << shape.vectors << " vectors, "
                                  << shape.rows << 'x' << shape.cols << ", accumulate " << shape.accumulate
                                  << ", seed " << random.seed());
  const bool half = element == MatrixProduct::Element::kHalf;
  const std::uint32_t w_stride = (shape.cols + 7) / 8 * 8;
  const std::uint32_t x_stride = w_stride + 32;
  const std::uint32_t y_stride = shape.rows + 5;
  constexpr float kAlpha = 0.25f;
  const auto round = [&](float x) { return half ? f32_to_f16(x) : f32_to_bf16(x); };
  const auto back = [&](std::uint16_t bits) -> double { return half ? f16_to_f32(bits) : bf16_to_f32(bits); };
  const auto bits = [&](std::size_t count) {
    std::vector<std::uint16_t> out;
    for (const float x : random.floats(count)) out.push_back(round(x));
    return out;
  };
  const auto w = bits(std::size_t{shape.rows} * w_stride), x = bits(std::size_t{shape.vectors} * x_stride);
  const std::vector<float> before = random.floats(shape.first + std::size_t{shape.vectors} * y_stride);
  const auto w_buffer = upload(device, w), x_buffer = upload(device, x), y_buffer = upload(device, before);
  const auto commands = device.new_commands();
  commands->product({.element = element,
                     .vectors = shape.vectors,
                     .rows = shape.rows,
                     .cols = shape.cols,
                     .w = *w_buffer,
                     .w_stride = w_stride,
                     .x = *x_buffer,
                     .x_stride = x_stride,
                     .y = {*y_buffer, shape.first * sizeof(float)},
                     .y_stride = y_stride,
                     .alpha = kAlpha,
                     .accumulate = shape.accumulate});
  EXPECT_EQ(commands->dispatches(), 1u);
  device.submit(*commands);
  device.wait();
  std::vector<double> expected(before.begin(), before.end());
  for (std::size_t v = 0; v < shape.vectors; ++v) {
    for (std::size_t r = 0; r < shape.rows; ++r) {
      double sum = 0;
      for (std::size_t i = 0; i < shape.cols; ++i)
        sum += back(w[r * w_stride + i]) * back(x[v * x_stride + i]);
      double& y = expected[shape.first + v * y_stride + r];
      y = kAlpha * sum + (shape.accumulate ? y : 0.0);
    }
  }
  // As in gemm_test.cpp, and tensor cores may cut off where float32 rounds: partial sums of n products reach
  // √n / 3.
  expect_near(download(*y_buffer), expected, 1e-4);
}

TEST(Product, IsThatOfEveryShape) {
  constexpr ProductShape kShapes[] = {{1, 1, 8},        {64, 64, 64},           {64, 128, 256, true},
                                      {128, 300, 1024}, {70, 33, 40, false, 3}, {3, 7, 1056, true, 1}};
  for (Device* device : product_devices()) {
    for (const MatrixProduct::Element element :
         {MatrixProduct::Element::kHalf, MatrixProduct::Element::kBfloat16}) {
      for (const ProductShape& shape : kShapes) run_product(*device, element, shape);
    }
  }
}

TEST(Product, IsRefusedWhereItDoesNotFit) {
  const auto refuses = [](Device& device, const MatrixProduct& product, const char* what) {
    try {
      device.new_commands()->product(product);
      ADD_FAILURE() << "nothing was thrown: " << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUsage);
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  };
  for (Device* device : product_devices()) {
    const auto w = device->allocate(64), x = device->allocate(64), y = device->allocate(64);
    const MatrixProduct good{.vectors = 4,
                             .rows = 4,
                             .cols = 8,
                             .w = *w,
                             .w_stride = 8,
                             .x = *x,
                             .x_stride = 8,
                             .y = *y,
                             .y_stride = 4};
    device->new_commands()->product(good);
    const auto changed = [&](const auto& change) {
      MatrixProduct out = good;
      change(out);
      return out;
    };
    refuses(*device, changed([](MatrixProduct& p) { p.rows = 5; }), "matrix W");
    refuses(*device, changed([](MatrixProduct& p) { p.vectors = 5; }), "matrix X");
    refuses(*device, changed([](MatrixProduct& p) { p.x_stride = 7; }), "matrix X");
    refuses(*device, changed([](MatrixProduct& p) { p.x_stride = 9; }), "matrix X");
    refuses(*device, changed([](MatrixProduct& p) { p.cols = 4; }), "matrix W");
    refuses(*device, changed([](MatrixProduct& p) { p.cols = 0; }), "matrix W");
    refuses(*device, changed([&](MatrixProduct& p) { p.y = {*y, 4}; }), "matrix Y");
    refuses(*device, changed([&](MatrixProduct& p) { p.y = {*y, 400}; }), "matrix Y");
    refuses(*device, changed([&](MatrixProduct& p) { p.w = {*w, 1}; }), "matrix W");
    refuses(*device, changed([](MatrixProduct& p) { p.w = 1.0f; }), "matrix W");
    refuses(*device, changed([](MatrixProduct& p) { p.y_stride = UINT32_MAX; }), "matrix Y");
  }
  const auto buffer = fast_device().allocate(64);
  refuses(fast_device(),
          {.vectors = 1,
           .rows = 1,
           .cols = 1,
           .w = *buffer,
           .w_stride = 1,
           .x = *buffer,
           .x_stride = 1,
           .y = *buffer,
           .y_stride = 1},
          "no library");
}

TEST(Packing, SuitsTheFormatsThatMeet) {
  const auto of = [](DType format) {
    DeviceMatrix out;
    out.format = format;
    return out;
  };
  const DeviceMatrix f32 = of(DType::kF32), f16 = of(DType::kF16), bf16 = of(DType::kBF16),
                     q8 = of(DType::kQ8_0), q4 = of(DType::kQ4_0);
  struct Case {
    std::vector<const DeviceMatrix*> matrices;
    bool exact;
    bool bfloat;
    std::uint32_t parts;
    std::vector<bool> suits;
  };
  const Case cases[] = {{{&q8, &q4}, false, false, 1, {true, true}},
                        {{&bf16}, false, true, 2, {true}},
                        {{&f16, &q8}, false, false, 2, {true, true}},
                        {{&f16, &q8}, true, false, 2, {true, false}},
                        {{&bf16, &q8, &f32}, false, false, 2, {false, true, false}},
                        {{&bf16, &q8, &f32}, true, true, 2, {true, false, false}}};
  for (const Case& one : cases) {
    const std::optional<Packing> packing = choose_packing(one.matrices, one.exact);
    ASSERT_TRUE(packing.has_value());
    EXPECT_EQ(packing->bfloat, one.bfloat);
    EXPECT_EQ(packing->parts, one.parts);
    for (std::size_t i = 0; i < one.suits.size(); ++i)
      EXPECT_EQ(packing->suits(*one.matrices[i]), one.suits[i]);
  }
  EXPECT_FALSE(choose_packing(std::array{&f32}, false).has_value());
  EXPECT_FALSE(choose_packing(std::array{&q8}, true).has_value());
}

}  // namespace
}  // namespace lattice::gpu
