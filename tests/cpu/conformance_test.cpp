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

INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace lattice
