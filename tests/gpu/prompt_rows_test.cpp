#include "gpu/gpu_weights.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/stored_matrix.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::PromptSpan;
using lattice_gpu::RowsArgs;

constexpr std::uint32_t kPromptRows = 8;  // that are recorded; fewer tokens are fed

void run_norm(SoftDevice& device, std::uint32_t cols, std::int32_t tokens) {
  Random random;
  SCOPED_TRACE(testing::Message() << tokens << " rows of " << cols << ", seed " << random.seed());
  constexpr float kEpsilon = 1e-5f;
  const auto stride = static_cast<std::uint32_t>(padded_floats(cols));
  std::vector<float> x = random.floats(std::size_t{kPromptRows} * stride, 3.0f);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = i % stride < cols ? x[i] : 0.0f;
  const auto weight = random.floats(cols);
  const auto span = upload(device, std::vector<PromptSpan>{{0, tokens}});
  const auto in = upload(device, x), weights = upload_vector(device, weight);
  const auto out = upload(device, std::vector<float>(x.size(), 7.0f)),
             last = device.allocate(cols * sizeof(float));
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, 2}};
  const RowsArgs args{cols, stride, stride, kEpsilon};
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("rms_norm", constants), {*span, *in, *weights, *out, args},
                     {kPromptRows / 2}, 64);
  commands->dispatch(device.kernel("last_row", {}), {*span, *in, *last, args}, {(cols + 31) / 32}, 32);
  device.submit(*commands);

  std::vector<double> expected;
  for (std::uint32_t t = 0; t < kPromptRows; ++t) {
    double squares = 0;
    for (std::uint32_t i = 0; i < cols; ++i) squares += double{x[t * stride + i]} * x[t * stride + i];
    const double factor = 1 / std::sqrt(squares / cols + kEpsilon);
    for (std::uint32_t i = 0; i < stride; ++i) {
      const bool written = t < static_cast<std::uint32_t>(tokens) && i < (cols + 3) / 4 * 4;
      expected.push_back(!written ? 7.0 : i < cols ? x[t * stride + i] * factor * weight[i] : 0.0);
    }
  }
  expect_near(download(*out), expected, 1e-5);
  const auto last_of = x.begin() + (tokens - 1) * static_cast<std::ptrdiff_t>(stride);
  expect_near(download(*last), std::vector<double>(last_of, last_of + cols), 0);
}

TEST(RmsNorm, HoldsForOddSizes) {
  for (const std::uint32_t cols : {1u, 3u, 4u, 31u, 32u, 33u, 129u, 1000u}) {
    for (const std::int32_t tokens : {1, 5, 8}) run_norm(fast_device(), cols, tokens);
  }
}

void run_embed(SoftDevice& device, DType type, std::int64_t cols, const std::vector<std::int32_t>& tokens) {
  Random random;
  SCOPED_TRACE(testing::Message() << dtype_name(type) << " of " << cols << ", seed " << random.seed());
  constexpr std::int64_t kVocab = 9;
  const StoredMatrix stored(type, kVocab, cols, random);
  ThreadPool pool(1);
  const DeviceMatrix matrix = MatrixPacker{device, pool, true}.one(stored.view);
  const auto stride = static_cast<std::uint32_t>(cols) + 3;
  const auto span = upload(device, std::vector<PromptSpan>{{0, static_cast<std::int32_t>(tokens.size())}});
  const auto ids = upload(device, tokens);
  const auto hidden = upload(device, std::vector<float>(std::size_t{kPromptRows} * stride, 7.0f));
  const auto none = device.allocate(16);
  const lattice_gpu::EmbedPromptArgs args{
      {matrix.cols, matrix.row_chunks, matrix.row_blocks, matrix.row_groups, matrix.rows}, stride};
  const auto commands = device.new_commands();
  commands->dispatch(
      device.kernel("embed_prompt_" + kernel_suffix(type), {}),
      {*span, *ids, *matrix.quants, matrix.scales != nullptr ? *matrix.scales : *none, *hidden, args},
      {(matrix.row_chunks + 31) / 32, kPromptRows}, 32);
  device.submit(*commands);
  std::vector<double> expected(std::size_t{kPromptRows} * stride, 7.0);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const bool inside = tokens[t] >= 0 && tokens[t] < kVocab;
    const std::vector<float> row = stored.row(inside ? tokens[t] : 0);
    std::copy(row.begin(), row.end(), expected.begin() + static_cast<std::ptrdiff_t>(t * stride));
  }
  expect_near(download(*hidden), expected, 0);
}

TEST(EmbedPrompt, TakesEveryTokensRow) {
  for (const DType type : kFormats) {
    run_embed(fast_device(), type, 32, {3});
    run_embed(fast_device(), type, 1120, {0, 8, 8, 2, -1, 9, 4});
    if (!is_block(type)) run_embed(fast_device(), type, 77, {1, 2, 3});
  }
}

TEST(PromptRows, HaveNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  run_norm(checking_device(), 45, 3);
  for (const DType type : kFormats) run_embed(checking_device(), type, is_block(type) ? 96 : 45, {4, 0, 8});
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
