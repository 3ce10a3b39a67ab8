#include <numeric>

#include "gpu/cuda/cuda_device.h"
#include "gpu/gdn_reference.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/planes.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::GdnArgs;
using lattice_gpu::StepState;

/// What the kernel leaves to the reader of its output: each head times 1/√(mean o² + ε).
std::vector<float> with_factors(std::vector<float> out, const std::vector<float>& squares, std::uint32_t dim,
                                std::uint32_t parts, double epsilon) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto first = squares.begin() + static_cast<std::ptrdiff_t>(i / dim * parts);
    const double sum = std::accumulate(first, first + parts, 0.0);
    out[i] = static_cast<float>(out[i] / std::sqrt(sum / dim + epsilon));
  }
  return out;
}

/// `tokens` steps from position 0 on, each held to the reference, and the state at the end. `parts`
/// threadgroups share a head, and leave it as `planes` says.
void run_steps(Device& device, const GdnShape& shape, std::uint32_t parts, std::int32_t tokens,
               std::uint32_t planes = LATTICE_PLANES_NONE) {
  Random random;
  SCOPED_TRACE(testing::Message() << shape.k_heads << '/' << shape.v_heads << " heads of " << shape.head_dim
                                  << ", " << shape.taps << " taps, tiled " << shape.tiled << ", seed "
                                  << random.seed());
  constexpr float kEpsilon = 1e-6f;
  const std::size_t channels = std::size_t{2 * shape.k_heads + shape.v_heads} * shape.head_dim;
  const auto taps = random.floats(channels * shape.taps);
  std::vector<float> decay_rate = random.floats(shape.v_heads);
  for (float& rate : decay_rate) rate = -std::abs(rate);
  const auto dt_bias = random.floats(shape.v_heads);
  const auto norm = random.floats(shape.head_dim);
  GdnReference reference(shape, taps, decay_rate, dt_bias, norm, kEpsilon);

  const std::uint32_t z = static_cast<std::uint32_t>(channels);
  const std::uint32_t b = z + shape.v_heads * shape.head_dim;
  const GdnArgs args{.tiled = shape.tiled ? 1u : 0u,
                     .z_offset = z,
                     .b_offset = b,
                     .a_offset = b + shape.v_heads,
                     .epsilon = kEpsilon};
  const auto step = device.allocate(sizeof(StepState));
  const auto projections = device.allocate((b + 2 * shape.v_heads) * sizeof(float));
  const auto taps_buffer = upload(device, taps), decay_buffer = upload(device, decay_rate),
             bias_buffer = upload(device, dt_bias), norm_buffer = upload(device, norm);
  // What stood in the ring before must not matter.
  const auto ring = upload(device, random.floats(channels * shape.taps, 100.0f));
  const auto state = device.allocate(reference.state().size() * sizeof(float));
  const std::size_t outputs = std::size_t{shape.v_heads} * shape.head_dim;
  const auto out = device.allocate(planes_floats(outputs) * sizeof(float));
  const auto output = [&] {
    std::vector<float> left = download(*out);
    if (planes == LATTICE_PLANES_NONE) left.resize(outputs);
    return planes == LATTICE_PLANES_NONE ? left : of_planes(planes, outputs, left);
  };
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, shape.simdgroups},
                                        {LATTICE_FC_VECTORS, shape.head_dim / 4},
                                        {LATTICE_FC_TAPS, shape.taps},
                                        {LATTICE_FC_K_HEADS, shape.k_heads},
                                        {LATTICE_FC_V_HEADS, shape.v_heads},
                                        {LATTICE_FC_HEAD_PARTS, parts},
                                        {LATTICE_FC_TO_PLANES, planes}};
  const auto squares = device.allocate(std::size_t{shape.v_heads} * parts * sizeof(float));
  const auto commands = device.new_commands();
  commands->dispatch(device.kernel("gdn_step", constants),
                     {*step, *projections, *taps_buffer, *decay_buffer, *bias_buffer, *norm_buffer, *ring,
                      *state, *out, *squares, args},
                     {shape.v_heads * parts}, shape.simdgroups * 32);
  for (std::int32_t position = 0; position < tokens; ++position) {
    const StepState now{0, position};
    step->upload(std::span(&now, 1));
    const auto input = random.floats(b + 2 * shape.v_heads, 2.0f);
    projections->upload<float>(input);
    device.submit(*commands);
    SCOPED_TRACE(testing::Message() << "position " << position);
    expect_near(with_factors(output(), download(*squares), shape.head_dim, parts, kEpsilon),
                reference.step(input), 2e-5);
  }
  expect_near(download(*state), reference.state(), 1e-5);
}

TEST(GdnStep, HoldsForShapesPastTheRingsEnd) {
  for (const bool tiled : {false, true}) {
    run_steps(fast_device(), {1, 1, 4, 4, tiled, 1}, 1, 9);
    run_steps(fast_device(), {2, 6, 16, 4, tiled, 4}, 2, 11);
    run_steps(fast_device(), {3, 3, 36, 2, tiled, 3}, 4, 7);
    run_steps(fast_device(), {2, 4, 128, 4, tiled, 4}, 4, 6);
    run_steps(fast_device(), {1, 2, 256, 5, tiled, 8}, 8, 7);
  }
}

TEST(GdnStep, LeavesItsOutputInPlanes) {
  for (const std::uint32_t planes : {LATTICE_PLANES_BYTES, LATTICE_PLANES_NIBBLES}) {
    run_steps(fast_device(), {2, 4, 128, 4, true, 4}, 4, 5, planes);
    run_steps(fast_device(), {1, 2, 64, 4, false, 1}, 1, 5, planes);
  }
}

TEST(GdnStep, HoldsOnCuda) {
  if (!cuda_absence().empty()) GTEST_SKIP() << cuda_absence();
  CudaDevice device;
  for (const std::uint32_t parts : {1u, 2u, 4u}) {
    run_steps(device, {2, 4, 128, 4, true, 4}, parts, 9);
    run_steps(device, {2, 4, 128, 4, true, 4}, parts, 9, LATTICE_PLANES_NIBBLES);
    run_steps(device, {3, 6, 36, 3, false, 2}, parts, 7);
  }
}

TEST(GdnStep, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  run_steps(checking_device(), {2, 4, 20, 4, true, 2}, 4, 6);
  run_steps(checking_device(), {2, 4, 36, 3, false, 3}, 1, 4);
  run_steps(checking_device(), {1, 1, 64, 4, false, 2}, 2, 3, LATTICE_PLANES_NIBBLES);
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
