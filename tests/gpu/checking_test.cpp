#include "gpu/gpu_backend.h"
#include "gpu/kernel_run.h"
#include "model/golden.h"

namespace lattice::gpu {
namespace {

/// Whole decode steps under watch, with the output head: a model of linear and full layers, as small as they
/// come.
TEST(DecodeStep, HasNoFindingInCheckingMode) {
  const golden::Case one = golden::find_case("base");
  const golden::LoadedModel model = golden::load_model(one.model);
  auto owned = std::make_unique<SoftDevice>(std::filesystem::path(LATTICE_SOURCE_DIR) / "src/gpu/kernels", 2);
  const SoftDevice& device = *owned;
  const auto backend = make_gpu_backend(std::move(owned), model.config, model.weights);
  const auto state = backend->new_state(8);
  std::vector<float> logits(static_cast<std::size_t>(model.config.vocab_size));
  const std::span<const std::int32_t> ids(one.prompts.back().ids);
  backend->forward(*state, ids.first(2), Backend::Logits::kLast, logits);
  EXPECT_EQ(device.dispatches_run(), 2 * dispatches_per_token(*backend, 0) - 1);  // the head ran once
  expect_no_finding(device, 0);
}

/// 70 tokens, a whole chunk of the delta rule and a part of one, with the logits of each; then the fewest
/// that make a piece, from where they end.
TEST(Prefill, HasNoFindingInCheckingMode) {
  const golden::Case one = golden::find_case("base");
  const golden::LoadedModel model = golden::load_model(one.model);
  auto owned = std::make_unique<SoftDevice>(std::filesystem::path(LATTICE_SOURCE_DIR) / "src/gpu/kernels", 2);
  const SoftDevice& device = *owned;
  const auto backend = make_gpu_backend(std::move(owned), model.config, model.weights);
  const auto state = backend->new_state(80);
  std::vector<float> logits(70 * static_cast<std::size_t>(model.config.vocab_size));
  const std::span<const std::int32_t> ids(one.prompts.back().ids);
  backend->forward(*state, ids.first(70), Backend::Logits::kAll, logits);
  backend->forward(*state, ids.subspan(70, kMinPrefill), Backend::Logits::kNone, {});
  expect_no_finding(device, 0);
}

TEST(DecodeStep, TakesFiveDispatchesALayerAndSixWhereKeysAreSharedOut) {
  const golden::LoadedModel model = golden::load_model(golden::shipped_model_path());
  const auto backend = make_gpu_backend(std::make_unique<SoftDevice>(2), model.config, model.weights);
  EXPECT_EQ(dispatches_per_token(*backend, 0), 1u + 8 * 5 + 1);  // embedding and head
  EXPECT_EQ(dispatches_per_token(*backend, 255), 42u);
  EXPECT_EQ(dispatches_per_token(*backend, 256), 42u + 2);  // two full layers
  EXPECT_EQ(dispatches_per_token(*backend, 4095), 44u);
}

}  // namespace
}  // namespace lattice::gpu
