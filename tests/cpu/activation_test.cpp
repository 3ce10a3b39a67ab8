#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.h"
#include "cpu/quantised_model.h"

// What int8 activations, the default for quantised weights, cost against activations in float.

namespace lattice::cpu {
namespace {

struct Reading {
  double nll;                 // mean −log p of the held-out text
  std::vector<float> logits;  // of all its tokens
};

Reading read_text(const QuantisedModel& model, const CpuOptions& options) {
  constexpr std::size_t kTokens = 512;
  const std::vector<std::int32_t> text = golden::shipped().text;
  const auto vocab = static_cast<std::size_t>(model.config().vocab_size);
  const auto backend = make_cpu_backend(model.config(), model.weights(), options);
  const auto state = backend->new_state(kTokens);
  Reading reading{0, std::vector<float>(kTokens * vocab)};
  backend->forward(*state, std::span(text).first(kTokens), Backend::Logits::kAll, reading.logits);
  for (std::size_t i = 0; i + 1 < kTokens; ++i) {
    const std::span<const float> row = std::span<const float>(reading.logits).subspan(i * vocab, vocab);
    const double largest = *std::ranges::max_element(row);
    double sum = 0;
    for (const float logit : row) sum += std::exp(logit - largest);
    reading.nll += (largest + std::log(sum) - row[static_cast<std::size_t>(text[i + 1])]) / (kTokens - 1);
  }
  return reading;
}

class ActivationTest : public testing::TestWithParam<Isa> {};

/// An activation is off by 1/(127·√12) of its block's largest value, at random: 0.4 % of a product for values
/// spread evenly, and a little more for real ones, which have outliers. Such errors, one a matrix, add up
/// like noise over the depth; the shipped model's logits were measured to be off by 0.4 % of their size, its
/// perplexity by 0.13 %. Four times that is a fault.
TEST_P(ActivationTest, PerplexityIsNearlyThatOfExactActivations) {
  constexpr FileFormat kFormats[] = {
      {.type = DType::kQ8_0},
      {.type = DType::kQ4_0},
      {.type = DType::kQ4_K},
      {.type = DType::kQ5_K},
      {.type = DType::kQ6_K},
      {.type = DType::kAffine, .bits = 4, .group_size = 64},
      {.type = DType::kAffine, .bits = 8, .group_size = 64},
  };
  for (const FileFormat& format : kFormats) {
    const QuantisedModel model(format);
    CpuOptions options;
    options.isa = GetParam();
    const Reading rounded = read_text(model, options);
    options.exact = true;
    const Reading exact = read_text(model, options);
    double error = 0;
    double size = 0;
    for (std::size_t i = 0; i < exact.logits.size(); ++i) {
      error += std::pow(static_cast<double>(rounded.logits[i]) - exact.logits[i], 2);
      size += std::pow(static_cast<double>(exact.logits[i]), 2);
    }
    const double ratio = std::exp(rounded.nll - exact.nll);
    EXPECT_NEAR(ratio, 1.0, 0.005) << format.name();
    EXPECT_LT(std::sqrt(error / size), 0.016) << format.name();
    EXPECT_GT(error, 0.0) << "activations were not quantised";
    std::printf("%s, %s: perplexity x %.5f, logits off by %.4f of their size\n",
                std::string(isa_name(GetParam())).c_str(), format.name().c_str(), ratio,
                std::sqrt(error / size));
  }
}

TEST_P(ActivationTest, ModelsWithFloatWeightsHaveExactActivations) {
  const QuantisedModel model({.type = DType::kBF16});  // as it is shipped
  CpuOptions options;
  options.isa = GetParam();
  const Reading as_it_comes = read_text(model, options);
  options.exact = true;
  const Reading exact = read_text(model, options);
  if (GetParam() != Isa::kAmx) {
    EXPECT_TRUE(as_it_comes.logits == exact.logits);
    return;
  }
  // Of a prompt they are sums of two bfloat16 numbers, off by 2^-17: far below what the goldens allow.
  double most = 0;
  for (std::size_t i = 0; i < exact.logits.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(as_it_comes.logits[i]) - exact.logits[i]));
  EXPECT_LT(most, 2e-3);
  EXPECT_GT(most, 0.0) << "activations were not split";
}

std::vector<Isa> fast_isas() {
  std::vector<Isa> isas = available_isas();
  isas.erase(isas.begin());  // the portable kernels, which are slow
  return isas.empty() ? available_isas() : isas;
}

INSTANTIATE_TEST_SUITE_P(Cpu, ActivationTest, testing::ValuesIn(fast_isas()),
                         [](const auto& one) { return std::string(isa_name(one.param)); });

}  // namespace
}  // namespace lattice::cpu
