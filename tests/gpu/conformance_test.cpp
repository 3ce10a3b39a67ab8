#include <gtest/gtest.h>

#include "gpu/cuda/cuda_device.h"
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

std::unique_ptr<Backend> make_cuda(const Config& config, const Weights& weights) {
  gpu::GpuOptions options;
  options.exact = true;
  return gpu::make_gpu_backend(std::make_unique<gpu::CudaDevice>(), config, weights, options);
}

/// The devices that are here; the software one always is.
std::vector<BackendUnderTest> backends() {
  std::vector<BackendUnderTest> out = {
      {.name = "soft", .make = make_soft, .logit_tolerance = 2e-3, .perplexity_tokens = 128}};
  if (gpu::cuda_absence().empty()) {
    out.push_back({.name = "cuda", .make = make_cuda, .logit_tolerance = 2e-3, .perplexity_tokens = 4096});
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Gpu, BackendConformance, testing::ValuesIn(backends()), backend_name);

TEST(CudaConformance, RunsWhereThereIsADevice) {
  if (!gpu::cuda_absence().empty()) GTEST_SKIP() << "not run on cuda: " << gpu::cuda_absence();
}

}  // namespace
}  // namespace lattice
