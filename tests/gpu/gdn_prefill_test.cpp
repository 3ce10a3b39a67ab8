#include <numeric>

#include "gpu/gdn_reference.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::GdnPrefillArgs;
using lattice_gpu::PromptSpan;

constexpr std::uint32_t kRecordedRows = 2 * LATTICE_GDN_CHUNK;  // that are recorded

/// Feeds pieces of a sequence, one after another through the same recording, and holds every token to the
/// reference, and the state behind them.
void run_prompt(SoftDevice& device, const GdnShape& shape, const std::vector<std::int32_t>& pieces,
                float slowest_decay = 1.0f) {
  Random random;
  SCOPED_TRACE(testing::Message() << shape.k_heads << '/' << shape.v_heads << " heads of " << shape.head_dim
                                  << ", " << shape.taps << " taps, tiled " << shape.tiled << ", seed "
                                  << random.seed());
  constexpr float kEpsilon = 1e-6f;
  const std::size_t channels = std::size_t{2 * shape.k_heads + shape.v_heads} * shape.head_dim;
  const auto taps = random.floats(channels * shape.taps);
  std::vector<float> decay_rate = random.floats(shape.v_heads, slowest_decay);
  for (float& rate : decay_rate) rate = -std::abs(rate);
  const auto dt_bias = random.floats(shape.v_heads);
  const auto norm = random.floats(shape.head_dim);
  GdnReference reference(shape, taps, decay_rate, dt_bias, norm, kEpsilon);

  const auto z = static_cast<std::uint32_t>(channels);
  const std::uint32_t b = z + shape.v_heads * shape.head_dim;
  const std::uint32_t projected = b + 2 * shape.v_heads;
  const std::uint32_t padded = (shape.head_dim + 7) / 8 * 8;
  const GdnPrefillArgs args{.k_heads = shape.k_heads,
                            .v_heads = shape.v_heads,
                            .head_dim = shape.head_dim,
                            .conv_kernel = shape.taps,
                            .tiled = shape.tiled ? 1u : 0u,
                            .z_offset = z,
                            .b_offset = b,
                            .a_offset = b + shape.v_heads,
                            .epsilon = kEpsilon,
                            .stride = projected + 1,
                            .out_stride = shape.v_heads * shape.head_dim + 2,
                            .rows = kRecordedRows,
                            .padded_dim = padded};
  const auto span = device.allocate(sizeof(PromptSpan));
  const auto projections = device.allocate(std::size_t{kRecordedRows} * args.stride * sizeof(float));
  const auto taps_buffer = upload(device, taps), decay_buffer = upload(device, decay_rate),
             bias_buffer = upload(device, dt_bias), norm_buffer = upload(device, norm);
  // What stood in the ring and in the arrays between the kernels must not matter.
  const auto noise = [&](std::size_t count) { return upload(device, random.floats(count, 100.0f)); };
  const auto ring = noise(channels * shape.taps);
  const auto convolved = noise(std::size_t{2 * shape.k_heads + shape.v_heads} * kRecordedRows * padded),
             gates = noise(std::size_t{2} * shape.v_heads * kRecordedRows),
             scaled = noise(std::size_t{4} * shape.v_heads * kRecordedRows * padded),
             scores = noise(std::size_t{shape.v_heads} * kRecordedRows * LATTICE_GDN_CHUNK),
             decays = noise(std::size_t{shape.v_heads} * kRecordedRows / LATTICE_GDN_CHUNK),
             out = noise(std::size_t{kRecordedRows} * args.out_stride);
  const auto state = device.allocate(reference.state().size() * sizeof(float));

  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, shape.simdgroups},
                                        {LATTICE_FC_VECTORS, shape.head_dim / 4},
                                        {LATTICE_FC_TAPS, shape.taps}};
  const FunctionConstant of_delta[] = {{LATTICE_FC_VECTORS, shape.head_dim / 4}};
  const std::uint32_t threads = shape.simdgroups * 32;
  const auto groups = [&](std::uint32_t heads) { return (heads + shape.simdgroups - 1) / shape.simdgroups; };
  const auto commands = device.new_commands();
  commands->dispatch(
      device.kernel("gdn_convolve", constants),
      {*span, *projections, *taps_buffer, *decay_buffer, *bias_buffer, *ring, *convolved, *gates, args},
      {groups(2 * shape.k_heads + shape.v_heads), kRecordedRows / 8}, threads);
  commands->barrier();
  commands->dispatch(device.kernel("gdn_keep", constants), {*span, *projections, *ring, args},
                     {(z + 31) / 32, shape.taps}, 32);
  commands->dispatch(device.kernel("gdn_chunks", of_delta),
                     {*span, *convolved, *gates, *scaled, *scores, *decays, args},
                     {kRecordedRows / LATTICE_GDN_CHUNK, shape.v_heads}, 256);
  commands->barrier();
  commands->dispatch(device.kernel("gdn_scan", of_delta), {*span, *scaled, *scores, *decays, *state, args},
                     {(shape.head_dim + 15) / 16, shape.v_heads}, 256);
  commands->barrier();
  commands->dispatch(device.kernel("gdn_gate", constants),
                     {*span, *projections, *norm_buffer, *scaled, *out, args},
                     {groups(shape.v_heads), kRecordedRows}, threads);

  std::int32_t position = 0;
  for (const std::int32_t tokens : pieces) {
    SCOPED_TRACE(testing::Message() << tokens << " tokens from " << position);
    const PromptSpan now{position, tokens};
    span->upload(std::span(&now, 1));
    const auto input = random.floats(std::size_t{kRecordedRows} * args.stride, 2.0f);
    projections->upload<float>(input);
    const std::vector<float> before = download(*out);
    device.submit(*commands);
    std::vector<double> expected(before.begin(), before.end());
    for (std::int32_t t = 0; t < tokens; ++t) {
      const auto row = input.begin() + t * static_cast<std::ptrdiff_t>(args.stride);
      const std::vector<double> token = reference.step({row, row + projected});
      std::copy(token.begin(), token.end(),
                expected.begin() + t * static_cast<std::ptrdiff_t>(args.out_stride));
    }
    expect_near(download(*out), expected, 1e-4);
    expect_near(download(*state), reference.state(), 2e-5);
    position += tokens;
  }
}

TEST(GdnPrefill, HoldsForLengthsAndPositions) {
  for (const std::int32_t tokens : {1, 7, 63, 64, 65, 70, 128}) {
    run_prompt(fast_device(), {1, 2, 16, 4, false, 2}, {tokens, 3, tokens});
  }
}

TEST(GdnPrefill, HoldsForShapes) {
  for (const bool tiled : {false, true}) {
    run_prompt(fast_device(), {1, 1, 4, 4, tiled, 1}, {70});
    run_prompt(fast_device(), {2, 6, 20, 4, tiled, 4}, {5, 65});
    run_prompt(fast_device(), {3, 3, 36, 2, tiled, 3}, {63, 2});
    run_prompt(fast_device(), {2, 4, 128, 4, tiled, 4}, {70, 9});
    run_prompt(fast_device(), {1, 2, 256, 5, tiled, 8}, {65});
  }
}

/// e^(c_i − c_j) would overflow above the diagonal, and a state that hardly decays remembers every error.
TEST(GdnPrefill, HoldsForDecaysOfEverySpeed) {
  run_prompt(fast_device(), {1, 3, 32, 4, false, 4}, {128, 70}, 1e-3f);
  run_prompt(fast_device(), {1, 3, 32, 4, false, 4}, {128, 70}, 50.0f);
}

TEST(GdnPrefill, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  run_prompt(checking_device(), {1, 2, 12, 4, true, 2}, {9, 3});
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
