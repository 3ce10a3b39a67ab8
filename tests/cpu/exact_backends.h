#pragma once

#include <string>
#include <vector>

#include "cpu/cpu_backend.h"
#include "model/backend_under_test.h"

namespace lattice {

/// Every instruction set that this processor has, with activations in float: int8 activations are an
/// approximation, whose error another test states.
inline std::vector<BackendUnderTest> exact_backends(KvFormat kv = KvFormat::kF32,
                                                    double logit_tolerance = 2e-3) {
  std::vector<BackendUnderTest> all;
  for (const Isa isa : available_isas()) {
    CpuOptions options;
    options.isa = isa;
    options.threads = 3;
    options.exact = true;
    options.kv = kv;
    all.push_back(
        {.name = std::string(isa_name(isa)),
         .make = [options](const Config& config,
                           const Weights& weights) { return make_cpu_backend(config, weights, options); },
         .logit_tolerance = logit_tolerance,
         .perplexity_tokens = isa == Isa::kScalar ? 128 : 4096});  // the portable kernels are slow
  }
  return all;
}

}  // namespace lattice
