#include <gtest/gtest.h>

#include "gpu/cuda/cuda_device.h"
#include "gpu/gpu_backend.h"
#include "gpu/soft/soft_device.h"
#include "model/backend_conformance.h"

namespace lattice {
namespace {

enum class Weights16 : std::uint8_t {
  kExact,    ///< every weight as it is: what F16 costs those formats that the kernels have not is no error of
             ///< theirs
  kRounded,  ///< as users have it
};

template <typename MakeDevice>
auto maker(MakeDevice make_device, Weights16 how, KvFormat kv = KvFormat::kF32) {
  return [=](const Config& config, const Weights& weights) {
    gpu::GpuOptions options;
    options.exact = how == Weights16::kExact;
    options.kv = kv;
    return gpu::make_gpu_backend(make_device(), config, weights, options);
  };
}

/// What rounding to half may cost the cases that have quantised weights: theirs to 11 bits, of which Q4_K and
/// the like need more, and their inputs where a library makes the products. Seen: up to 3.1e-2. (The CPU's
/// 8-bit activations are allowed 2.5 and 5e-2 there.)
const std::map<std::string, double> kOfRounding = {
    {"base_gguf", 1e-1}, {"base_mlx", 5e-2}, {"mtp_gguf", 5e-2}};

/// The devices that are here; the software one always is.
std::vector<BackendUnderTest> backends() {
  const auto soft = [] { return std::make_unique<gpu::SoftDevice>(2); };
  const auto like_cuda = [] { return std::make_unique<gpu::SoftDevice>(2, true); };
  const auto cuda = [] { return std::make_unique<gpu::CudaDevice>(); };
  std::vector<BackendUnderTest> out = {
      {.name = "soft", .make = maker(soft, Weights16::kExact), .perplexity_tokens = 128},
      {.name = "soft_halves",
       .make = maker(soft, Weights16::kExact, KvFormat::kF16),
       .logit_tolerance = kHalvesTolerance,
       .perplexity_tokens = 128},
      {.name = "soft_products", .make = maker(like_cuda, Weights16::kExact), .perplexity_tokens = 128},
      {.name = "soft_products_rounded",
       .make = maker(like_cuda, Weights16::kRounded),
       .perplexity_tokens = 128,
       .case_tolerance = kOfRounding}};
  if (gpu::cuda_absence().empty()) {
    out.push_back({.name = "cuda", .make = maker(cuda, Weights16::kExact)});
    out.push_back({.name = "cuda_halves",
                   .make = maker(cuda, Weights16::kExact, KvFormat::kF16),
                   .logit_tolerance = kHalvesTolerance});
    out.push_back(
        {.name = "cuda_rounded", .make = maker(cuda, Weights16::kRounded), .case_tolerance = kOfRounding});
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Gpu, BackendConformance, testing::ValuesIn(backends()), backend_name);

TEST(CudaConformance, RunsWhereThereIsADevice) {
  if (!gpu::cuda_absence().empty()) GTEST_SKIP() << "not run on cuda: " << gpu::cuda_absence();
}

}  // namespace
}  // namespace lattice
