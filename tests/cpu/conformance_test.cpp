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

/// What a user gets who asks for nothing: int8 activations where weights are quantised, here in base_gguf
/// alone, and matrices of other formats in F16, in base_mlx. With random weights and 64 columns, two blocks,
/// there is little for errors to cancel against: the portable kernels too are off by 0.36 there, an eighth of
/// the logits' standard deviation. That float weights are not touched by this, and what it costs a trained
/// model, activation_test.cpp says.
std::vector<BackendUnderTest> default_backend() {
  return {
      {.name = "as_it_comes",
       .make = [](const Config& config, const Weights& weights) { return make_cpu_backend(config, weights); },
       .logit_tolerance = 0.5,
       .perplexity_tokens = 1024}};
}

INSTANTIATE_TEST_SUITE_P(CpuDefault, BackendConformance, testing::ValuesIn(default_backend()), backend_name);
INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace lattice
