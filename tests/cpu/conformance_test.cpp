#include <gtest/gtest.h>

#include "cpu/cpu_backend.h"
#include "model/backend_conformance.h"

namespace lattice {
namespace {

/// Every instruction set that this processor has, with activations in float: int8 activations are an
/// approximation, whose error another test states.
std::vector<BackendUnderTest> backends() {
  std::vector<BackendUnderTest> all;
  for (const Isa isa : available_isas()) {
    CpuOptions options;
    options.isa = isa;
    options.threads = 3;
    options.exact = true;
    all.push_back(
        {.name = std::string(isa_name(isa)),
         .make = [options](const Config& config,
                           const Weights& weights) { return make_cpu_backend(config, weights, options); },
         .logit_tolerance = 2e-3,
         .perplexity_tokens = isa == Isa::kScalar ? 128 : 4096});  // the portable kernels are slow
  }
  return all;
}

/// What a user gets who asks for nothing: int8 activations where weights are quantised. Of the checkpoints
/// only base_gguf has such weights, and there the logits may differ as activation_test.cpp says: by 2 % of
/// their size, of about 1.
std::vector<BackendUnderTest> default_backend() {
  return {
      {.name = "as_it_comes",
       .make = [](const Config& config, const Weights& weights) { return make_cpu_backend(config, weights); },
       .logit_tolerance = 2e-2,
       .perplexity_tokens = 1024}};
}

INSTANTIATE_TEST_SUITE_P(CpuDefault, BackendConformance, testing::ValuesIn(default_backend()), backend_name);
INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace lattice
