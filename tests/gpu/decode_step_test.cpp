// A decode step's dispatches, as they pass vectors on: with quantised weights, which no golden case has in
// every matrix.

#include "gpu/decode_step.h"

#include <cmath>
#include <vector>

#include "cpu/quantised_model.h"
#include "gpu/cuda/cuda_device.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/planes.h"
#include "model/reference.h"

namespace lattice::gpu {
namespace {

/// Shapes with which every vector between dispatches lies in planes.
GemvShape in_planes_throughout(const DeviceMatrix&) {
  GemvShape shape{.rows = 32, .split = 1, .simdgroups = 2, .unroll = 2, .bytes = true};
  shape.planes = true;
  return shape;
}

/// Steps against the reference's logits; and whether the residual stream is left for the output head.
void run_steps(Device& device, DType type) {
  SCOPED_TRACE(dtype_name(type));
  const cpu::QuantisedModel model({.type = type});
  const Config& config = model.config();
  const auto reference = make_reference_backend(config, model.weights());
  const auto expected_state = reference->new_state(8);
  ThreadPool pool(1);
  const GpuWeights weights(MatrixPacker{device, pool, true}, config, model.weights(), nullptr);
  const Workspace work(device, config, KvFormat::kF32);
  GpuState state(device, config, 8, KvFormat::kF32);
  const StepRecorder steps(device, config, weights, work, in_planes_throughout);
  const auto hidden_size = static_cast<std::size_t>(config.hidden_size);
  std::vector<float> expected(static_cast<std::size_t>(config.vocab_size));
  std::int64_t position = 0;
  for (const std::int32_t token : {7, 300, 41}) {
    reference->forward(*expected_state, {&token, 1}, Backend::Logits::kLast, expected);
    state.set_step(token, position);
    const auto step = steps.step(state, work.attention.sharing.parts(position));
    device.submit(*step);
    device.wait();
    ++position;
    std::vector<float> logits = download(*work.logits);
    logits.resize(expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(logits[i], expected[i], 2e-3) << "logit " << i << " at " << position;

    const std::vector<float> left = download(*work.hidden);
    const std::vector<float> weighted =
        of_planes(planes_for(weights.head), hidden_size, std::span(left).subspan(hidden_size));
    for (std::size_t i = 0; i < hidden_size; ++i) {
      const double normed = double{left[i]} * model.weights().final_norm[i];
      ASSERT_NEAR(weighted[i], normed, 1e-4 * (1 + std::abs(normed))) << "column " << i;
    }
  }
}

TEST(DecodeStep, PassesPlanesThroughout) {
  SoftDevice device(2, /*like_cuda=*/true);
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) run_steps(device, type);
}

TEST(DecodeStep, PassesPlanesThroughoutOnCuda) {
  if (!cuda_absence().empty()) GTEST_SKIP() << cuda_absence();
  CudaDevice device;
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) run_steps(device, type);
}

}  // namespace
}  // namespace lattice::gpu
