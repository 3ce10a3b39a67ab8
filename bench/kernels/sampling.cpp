// Drawing a token from a full row of logits: sample/HOW.

#include "lattice/sampling.hpp"

#include "bench/shapes.h"
#include "generate/sampler.h"
#include "measured.h"
#include "support/random.h"

namespace lattice::bench {
namespace {

constexpr std::uint64_t kStream = 5;
constexpr std::int64_t kSeen = 2000;  // tokens of a text that the penalties know

void add(const char* name, const Sampling& sampling) {
  benchmark::RegisterBenchmark(name, [sampling](benchmark::State& state) {
    const std::int64_t vocab = shape_config("0.8b").vocab_size;
    std::vector<float> logits(static_cast<std::size_t>(vocab));
    // Squares of uniform numbers: few large logits, many small ones.
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const float u = random_unit(kStream, i);
      logits[i] = 20 * u * u * u * u - 5;
    }
    Sampler sampler(sampling, vocab);
    for (std::int64_t i = 0; i < kSeen; ++i) sampler.see_generated(static_cast<Token>(i * 97 % vocab));
    std::int64_t position = 0;
    for (auto _ : state) benchmark::DoNotOptimize(sampler.draw(logits, ++position));
  })->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_sampling() {
  add("sample/greedy", {});
  // The model card's settings.
  add("sample/top_k_top_p", {.temperature = 0.7f, .top_k = 20, .top_p = 0.8f});
  add("sample/top_p", {.temperature = 1.0f, .top_p = 0.95f});
  add("sample/min_p", {.temperature = 1.0f, .min_p = 0.05f});
  add("sample/all", {.temperature = 1.0f});
  add("sample/penalties", {.temperature = 0.7f, .top_k = 20, .presence_penalty = 1.5f});
}

}  // namespace lattice::bench
