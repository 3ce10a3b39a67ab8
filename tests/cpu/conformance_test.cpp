#include <gtest/gtest.h>

#include "cpu/cpu_backend.h"
#include "model/backend_conformance.h"

namespace lattice {
namespace {

BackendUnderTest with(std::string name, CpuOptions options, std::int64_t perplexity_tokens) {
  return {.name = std::move(name),
          .make = [options](const Config& config, const Weights& weights) { return make_cpu_backend(config, weights, options); },
          .perplexity_tokens = perplexity_tokens};
}

std::vector<BackendUnderTest> backends() {
  std::vector<BackendUnderTest> all;
  for (const Isa isa : available_isas()) {
    const std::int64_t tokens = isa == Isa::kScalar ? 256 : 4096;  // the portable kernels are slow
    all.push_back(with(std::string(isa_name(isa)), {.threads = 2, .isa = isa}, tokens));
    all.push_back(with(std::string(isa_name(isa)) + "_exact", {.threads = 3, .isa = isa, .exact = true}, tokens));
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, testing::ValuesIn(backends()), backend_name);

}  // namespace
}  // namespace lattice
