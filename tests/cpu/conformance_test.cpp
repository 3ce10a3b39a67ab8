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

/// What a user gets who asks for nothing. Models of float weights, the shipped one among them, are held to
/// the same bound. The two cases with other weights have random ones, which amplify errors that a trained
/// model (activation_test.cpp) does not notice, and bounds that were measured and not derived:
///   base_mlx   0.033, since matrices in formats without kernels of their own are rounded to F16;
///   base_gguf  1.65 at the worst of 450 positions, of logits with a standard deviation of 2.7, since some of
///              its matrices have int8 activations. Float products with the same activations, rounded and
///              scaled back, are off by as much (1.57): it is the rounding and not the integer products. So
///              the bound keeps out nonsense only; the products' own tests are exact.
std::vector<BackendUnderTest> default_backend() {
  return {
      {.name = "as_it_comes",
       .make = [](const Config& config, const Weights& weights) { return make_cpu_backend(config, weights); },
       .perplexity_tokens = 1024,
       .case_tolerance = {{"base_gguf", 2.5}, {"base_mlx", 0.05}}}};
}

INSTANTIATE_TEST_SUITE_P(CpuDefault, BackendConformance, testing::ValuesIn(default_backend()), backend_name);
INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace lattice
