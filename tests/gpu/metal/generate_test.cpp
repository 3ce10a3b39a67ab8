// The very code that is to run on a Mac generates text here: the host's calls answered by the stand-in, the
// kernels run by the soft device, the results held to the golden files.

#include <random>

#include <gtest/gtest.h>

#include "gpu/gpu_backend.h"
#include "gpu/metal/metal_device.h"
#include "gpu/metal/stand_in/machine.h"
#include "gpu/soft/soft_device.h"
#include "model/backend_conformance.h"

namespace lattice {
namespace {

using gpu::stand_in::machine;
using gpu::stand_in::Progress;

std::unique_ptr<Backend> make_metal(const Config& config, const Weights& weights) {
  gpu::GpuOptions options;
  options.exact = true;
  return gpu::make_gpu_backend(gpu::make_metal_device(), config, weights, options);
}
BackendUnderTest playing(const std::string& name, Progress progress) {
  return {.name = name, .make = [progress](const Config& config, const Weights& weights) {
            machine().progress = progress;
            machine().seed = std::random_device()();
            return make_metal(config, weights);
          }};
}

// Of the shared tests those that are quick (CMakeLists.txt); MetalShippedModel takes the place of the others.
INSTANTIATE_TEST_SUITE_P(Metal, BackendConformance,
                         testing::Values(playing("late", Progress::kLate),
                                         playing("random", Progress::kRandom)),
                         backend_name);

DrawOptions draws(const Config& config, std::int64_t most) {
  DrawOptions out;
  out.n_ids = config.vocab_size;
  out.most = most;
  return out;
}

/// The prompt in one pass, then a stream of tokens that the device draws, steps ahead of the host.
TEST(MetalShippedModel, StreamsTheTextThatHuggingFaceHas) {
  const golden::ShippedGolden expected = golden::shipped();
  const golden::LoadedModel model = golden::load_model(golden::shipped_model_path());
  machine().progress = Progress::kRandom;
  const auto backend = gpu::make_gpu_backend(gpu::make_metal_device(), model.config, model.weights);
  ASSERT_TRUE(backend->has_streams());
  const golden::ShippedPrompt& prompt = expected.prompts.front();
  const auto count = static_cast<std::int64_t>(prompt.continuation.size());
  const auto state = backend->new_state(static_cast<std::int64_t>(prompt.ids.size()) + count);
  std::vector<float> logits(static_cast<std::size_t>(model.config.vocab_size));
  backend->forward(*state, prompt.ids, Backend::Logits::kLast, logits);
  const auto first = static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
  ASSERT_EQ(first, prompt.continuation.front());
  const auto stream = backend->stream(*state, first, draws(model.config, count - 1));
  for (std::size_t i = 1; i < prompt.continuation.size(); ++i) {
    ASSERT_EQ(stream->next(), prompt.continuation[i]) << "step " << i;
  }
  EXPECT_LE(machine().most_in_flight, 8);
}

/// Matrices of floats that a file keeps at multiples of 16 bytes, as GGUF files do.
TEST(MetalWeights, StayWhereTheFileLies) {
  const golden::LoadedModel model = golden::load_model(golden::find_case("base_gguf").model);
  const auto backend = make_metal(model.config, model.weights);
  EXPECT_GT(machine().wrapped, 0u);
}

/// Of seeded draws the soft device's tokens, with every filter and penalty; and a text that ends midway.
TEST(MetalSampling, DrawsWhatTheSoftDeviceDraws) {
  const golden::Case one = golden::find_case("base");
  const golden::LoadedModel model = golden::load_model(one.model);
  DrawOptions options = draws(model.config, 24);
  options.sampling = {
      .temperature = 1.0f, .top_k = 40, .top_p = 0.95f, .min_p = 0.01f, .presence_penalty = 1.0f};
  options.sampling.seed = 11;
  options.seen.resize(static_cast<std::size_t>(model.config.vocab_size));
  const auto run = [&](std::unique_ptr<gpu::Device> device) {
    const auto backend = gpu::make_gpu_backend(std::move(device), model.config, model.weights);
    const auto state = backend->new_state(64);
    std::vector<std::int32_t> tokens;
    for (int part = 0; part < 2; ++part) {
      const auto stream = backend->stream(*state, 5, options);
      for (int i = 0; i < 11; ++i) tokens.push_back(stream->next());
      stream->settle({});  // steps that went further are taken back
    }
    return tokens;
  };
  const std::vector<std::int32_t> expected = run(std::make_unique<gpu::SoftDevice>(2));
  for (const Progress progress : {Progress::kLate, Progress::kEager, Progress::kRandom}) {
    machine().progress = progress;
    EXPECT_EQ(run(gpu::make_metal_device()), expected);
  }
}

}  // namespace
}  // namespace lattice
