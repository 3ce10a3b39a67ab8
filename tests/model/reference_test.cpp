#include "model/reference.h"

#include "model/backend_conformance.h"
#include "model/mtp_conformance.h"

namespace lattice {
namespace {

// The reference reads 27 million weights a token, one thread and one token at a time: the first 512 tokens of
// the perplexity text are what its share of the tests' time allows. The faster backends read all 4096. Its
// tolerance is Hugging Face's own float32 rounding.
INSTANTIATE_TEST_SUITE_P(Reference, BackendConformance,
                         testing::Values(BackendUnderTest{"reference", make_reference_backend, 5e-4, 512}),
                         backend_name);

INSTANTIATE_TEST_SUITE_P(Reference, MtpConformance,
                         testing::Values(BackendUnderTest{"reference", make_reference_backend, 5e-4}),
                         backend_name);

TEST(Reference, RefusesTheStateOfAnotherBackend) {
  const golden::LoadedModel model = golden::load_model(golden::find_case("base").model);
  const auto one = make_reference_backend(model.config, model.weights);
  const auto other = make_reference_backend(model.config, model.weights);
  const auto state = other->new_state(4);
  const std::int32_t id = 1;
  EXPECT_THROW(one->forward(*state, {&id, 1}, Backend::Logits::kNone, {}), Error);
  EXPECT_EQ(state->position(), 0);
}

}  // namespace
}  // namespace lattice
