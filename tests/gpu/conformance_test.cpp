#include <gtest/gtest.h>

#include "gpu/gpu_backend.h"
#include "gpu/soft/soft_device.h"
#include "model/backend_conformance.h"

namespace lattice {
namespace {

/// With every weight as it is: what F16 costs those formats that the kernels have not is no error of theirs.
std::unique_ptr<Backend> make_soft(const Config& config, const Weights& weights) {
  gpu::GpuOptions options;
  options.exact = true;
  return gpu::make_gpu_backend(std::make_unique<gpu::SoftDevice>(2), config, weights, options);
}

INSTANTIATE_TEST_SUITE_P(
    Gpu, BackendConformance,
    testing::Values(BackendUnderTest{
        .name = "soft", .make = make_soft, .logit_tolerance = 2e-3, .perplexity_tokens = 128}),
    backend_name);

}  // namespace
}  // namespace lattice
