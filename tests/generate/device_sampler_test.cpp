// The sampling kernels, held to Sampler on the same logits.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "generate/philox.h"
#include "generate/sampler.h"
#include "generate/sampling_reference.h"
#include "gpu/cuda/cuda_device.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/sampling_step.h"

namespace lattice {
namespace {

using lattice_gpu::DrawnToken;
using lattice_gpu::StepState;

/// What float32 may move: a filter's end or the random number, relative to the sum of all weights.
constexpr double kRounding = 3e-6;

Config vocabulary_of(std::int64_t size) {
  Config config;  // without layers: nothing but the kernels runs
  config.vocab_size = size;
  return config;
}

/// The kernels, recorded for one vocabulary.
class DeviceSampler {
 public:
  DeviceSampler(gpu::Device& device, std::int64_t vocab_size)
      : device_(device),
        config_(vocabulary_of(vocab_size)),
        memory_(device, config_),
        state_(device, config_, 1, KvFormat::kF32),
        logits_(device.allocate(static_cast<std::size_t>(vocab_size) * sizeof(float))) {}

  /// The token at `position`, drawn as `sampler` would.
  DrawnToken draw(const Logits& logits, const Sampler& sampler, std::int32_t position) {
    const DrawOptions options = sampler.draw_options(1);
    gpu::upload_sampling(state_.draw_memory(), options);
    logits_->upload<float>(logits);
    const StepState before{-7, position - 1};
    state_.step_state().upload(std::span(&before, 1));
    const auto commands = device_.new_commands();
    const gpu::Draw draw = memory_.draw_for(options.sampling);
    gpu::record_sampling(device_, *commands, *logits_, memory_, state_, draw);
    EXPECT_EQ(commands->dispatches(), draw == gpu::Draw::kAny ? 4U : 2U);
    device_.submit(*commands);

    DrawnToken drawn{};
    state_.draw_memory().drawn->download(std::span(&drawn, 1),
                                         static_cast<std::size_t>(position - 1) % gpu::kDrawnTokens);
    StepState after{};
    state_.step_state().download(std::span(&after, 1));
    EXPECT_EQ(after.position, position);
    EXPECT_EQ(after.token, drawn.token < 0 ? -7 : drawn.token);
    return drawn;
  }

  /// Words of what was seen of each id.
  [[nodiscard]] std::vector<std::uint32_t> seen() {
    std::vector<std::uint32_t> out(static_cast<std::size_t>(config_.vocab_size));
    state_.draw_memory().seen->download<std::uint32_t>(out);
    return out;
  }

 private:
  gpu::Device& device_;
  Config config_;
  gpu::SamplingMemory memory_;
  gpu::GpuState state_;
  std::unique_ptr<gpu::Buffer> logits_;
};

/// Every token that rounding may turn the draw into.
std::set<Token> draws_within_rounding(const Logits& logits, const Sampling& sampling, double u) {
  std::set<Token> out;
  for (const double by : {-kRounding, 0.0, kRounding}) {
    Sampling moved = sampling;
    moved.top_p =
        sampling.top_p == 1 ? 1 : static_cast<float>(std::clamp(sampling.top_p * (1 + by), 1e-30, 1.0));
    for (const double min_p_by : {-kRounding, 0.0, kRounding}) {
      moved.min_p = static_cast<float>(sampling.min_p * (1 + min_p_by));
      const std::vector<double> probability = probabilities(logits, moved);
      for (const double u_by : {-kRounding, 0.0, kRounding}) {
        const Token token = token_at(probability, std::max(0.0, u + u_by));
        if (token >= 0) out.insert(token);
      }
    }
  }
  return out;
}

/// Draws on both, and returns whether the tokens are the same; fails where rounding does not explain that
/// they are not.
bool draws_the_same(DeviceSampler& device, const Logits& logits, const Sampling& sampling,
                    std::int32_t position) {
  Sampler sampler(sampling, size_of(logits));
  const Token expected = sampler.draw(logits, position);
  const DrawnToken drawn = device.draw(logits, sampler, position);
  if (drawn.token == expected) return true;
  const double u = uniform_at(sampling.seed, static_cast<std::uint64_t>(position));
  const std::set<Token> allowed = draws_within_rounding(logits, sampling, u);
  EXPECT_TRUE(allowed.contains(drawn.token))
      << "drew " << drawn.token << " and not " << expected << ": temperature " << sampling.temperature
      << ", top_k " << sampling.top_k << ", top_p " << sampling.top_p << ", min_p " << sampling.min_p
      << ", seed " << sampling.seed << ", position " << position << ", ids " << logits.size();
  return false;
}

/// None, as many as there may be slices, or any.
std::size_t random_top_k(std::mt19937& random, std::size_t ids) {
  switch (random() % 3) {
    case 0:
      return 0;
    case 1:
      return 1 + random() % LATTICE_MOST_SLICES;
    default:
      return 1 + random() % (ids + 2);
  }
}

Sampling random_sampling(std::mt19937& random, std::size_t ids) {
  const auto one_of = [&](std::initializer_list<float> values) {
    return values.begin()[random() % values.size()];
  };
  return {.temperature = one_of({0.05f, 0.7f, 1, 3}),
          .top_k = static_cast<std::int32_t>(random_top_k(random, ids)),
          .top_p = one_of({1, 0.01f, 0.5f, 0.9f, 0.95f, 0.999f}),
          .min_p = one_of({0, 0, 0.05f, 0.5f}),
          .seed = std::uint64_t{random()} << 32 | random()};
}

/// Of random logits, with and without equal ones, from vocabularies of all sizes.
void expect_draws_of_sampler(gpu::Device& on) {
  std::random_device fresh;
  const std::uint32_t seed = fresh();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  // Where many logits are equal, top-p often ends exactly between two of them, and rounding decides.
  int draws[2] = {};
  int same[2] = {};
  for (const std::size_t size : {1U, 2U, 31U, 200U, 1000U, 1025U, 4099U, 32'768U, 40'011U}) {
    DeviceSampler device(on, static_cast<std::int64_t>(size));
    for (int round = 0; round < (size > 5000 ? 60 : size > 1000 ? 250 : 700); ++round) {
      const float spreads[] = {0.1f, 1, 4, 20};
      const bool with_ties = random() % 2 == 0;
      Logits logits = random_logits(random, size, spreads[random() % 4], with_ties);
      if (size > 1 && round % 5 == 0) {
        for (std::size_t i = 1; i < size; i += 1 + random() % 3) logits[i] = -kInfinity;
      }
      const auto position = static_cast<std::int32_t>(1 + random() % 1'000'000);
      ++draws[with_ties ? 1 : 0];
      same[with_ties ? 1 : 0] +=
          draws_the_same(device, logits, random_sampling(random, size), position) ? 1 : 0;
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GE(same[0], draws[0] - 2) << "of " << draws[0];
  EXPECT_GE(same[1], draws[1] * 0.99) << "of " << draws[1];
}

void expect_draws_from_real_vocabulary(gpu::Device& on) {
  std::mt19937 random(3);
  constexpr std::size_t kIds = 248'320;
  DeviceSampler device(on, kIds);
  for (const bool with_ties : {false, true}) {
    const Logits logits = random_logits(random, kIds, 3, with_ties);
    for (Sampling sampling :
         {Sampling{}, Sampling{.temperature = 1}, Sampling{.temperature = 1, .top_k = 20, .top_p = 0.95f},
          Sampling{.temperature = 0.7f, .top_p = 0.8f},
          Sampling{.temperature = 1.5f, .top_k = 5000, .min_p = 0.01f},
          Sampling{.temperature = 1, .top_p = 0.999f}, Sampling{.temperature = 0.6f, .min_p = 0.1f}}) {
      for (std::int32_t position = 1; position < 4; ++position) {
        sampling.seed = random();
        draws_the_same(device, logits, sampling, position);
      }
    }
  }
}

/// More than can be ranked, and all alike: the cut lies among equal logits, with the kernels for few tokens
/// as for any.
void expect_lower_ids_of_equal_logits(gpu::Device& on) {
  const Logits equal(3000, 1.5f);
  DeviceSampler device(on, size_of(equal));
  for (const Sampling& sampling :
       {Sampling{.temperature = 1, .top_k = 3}, Sampling{.temperature = 1, .top_p = 0.00099f},
        Sampling{.temperature = 1, .top_k = 1000, .top_p = 0.0029f}}) {
    std::set<Token> drawn;
    for (std::int32_t position = 1; position < 40; ++position) {
      drawn.insert(device.draw(equal, Sampler(sampling, size_of(equal)), position).token);
    }
    EXPECT_EQ(drawn, (std::set<Token>{0, 1, 2}));
  }
  EXPECT_EQ(device.draw(equal, Sampler({}, size_of(equal)), 1).token, 0);
  Logits signs(40, -kInfinity);  // equal as well
  signs[11] = -0.0f;
  signs[30] = 0.0f;
  DeviceSampler few(on, size_of(signs));
  EXPECT_EQ(few.draw(signs, Sampler({}, size_of(signs)), 1).token, 11);
  EXPECT_EQ(few.draw(signs, Sampler({.temperature = 1, .top_k = 1}, size_of(signs)), 1).token, 11);
}

TEST(DeviceSampler, DrawsWhatSamplerDraws) {
  expect_draws_of_sampler(gpu::fast_device());
}

TEST(DeviceSampler, DrawsFromTheRealVocabulary) {
  expect_draws_from_real_vocabulary(gpu::fast_device());
}

TEST(DeviceSampler, KeepsTheLowerIdsOfEqualLogits) {
  expect_lower_ids_of_equal_logits(gpu::fast_device());
}

TEST(DeviceSampler, DrawsTheSameOnCuda) {
  if (!gpu::cuda_absence().empty()) GTEST_SKIP() << gpu::cuda_absence();
  gpu::CudaDevice device;
  expect_draws_of_sampler(device);
  expect_draws_from_real_vocabulary(device);
  expect_lower_ids_of_equal_logits(device);
}

TEST(DeviceSampler, GreedyAgreesToTheLastBit) {
  std::mt19937 random(4);
  for (const std::size_t size : {1U, 31U, 1000U, 5000U}) {
    DeviceSampler device(gpu::fast_device(), static_cast<std::int64_t>(size));
    for (int round = 0; round < 200; ++round) {
      const Logits logits = random_logits(random, size, 2, round % 2 == 0);
      Sampler sampler({}, size_of(logits));
      const DrawnToken drawn = device.draw(logits, sampler, 1);
      ASSERT_EQ(drawn.token, sampler.draw(logits, 1));
      ASSERT_EQ(drawn.logit, logits[static_cast<std::size_t>(drawn.token)]);
    }
  }
}

TEST(DeviceSampler, PenalisesAsSamplerDoesAndCounts) {
  std::mt19937 random(5);
  constexpr std::size_t kIds = 300;
  DeviceSampler device(gpu::fast_device(), kIds);
  int same = 0;
  constexpr int kRounds = 400;
  for (int round = 0; round < kRounds; ++round) {
    const Logits logits = random_logits(random, kIds, 3, false);
    const bool is_greedy = round % 2 == 0;
    const Sampling sampling{.temperature = is_greedy ? 0.0f : 1.0f,
                            .top_k = round % 4 < 2 ? 40 : 2,  // with the kernels for any, and for few
                            .repetition_penalty = round % 3 == 0 ? 1.0f : 1.3f,
                            .presence_penalty = round % 5 == 0 ? 0.0f : 1.5f,
                            .frequency_penalty = round % 7 == 0 ? -0.25f : 0.4f,
                            .seed = random()};
    Sampler sampler(sampling, kIds);
    std::vector<Token> prompt(100);
    for (Token& token : prompt)
      token = static_cast<Token>(random() % (kIds + 20));  // some beyond the last id
    sampler.see_prompt(prompt);
    for (int i = 0; i < 100; ++i) sampler.see_generated(static_cast<Token>(random() % 150));
    const DrawnToken drawn = device.draw(logits, sampler, round + 1);
    same += drawn.token == sampler.draw(logits, round + 1) ? 1 : 0;

    ASSERT_GE(drawn.token, 0);
    sampler.see_generated(drawn.token);
    std::vector<std::uint32_t> expected = sampler.draw_options(1).seen;
    std::vector<std::uint32_t> seen = device.seen();
    for (auto* words : {&expected, &seen}) {  // the bit of a generated token changes nothing
      for (std::uint32_t& word : *words)
        word = word == DrawOptions::kInPrompt ? word : word & ~DrawOptions::kInPrompt;
    }
    EXPECT_EQ(seen, expected);
  }
  EXPECT_GE(same, kRounds - 1);  // a penalised logit may round differently
}

TEST(DeviceSampler, NeverDrawsPadding) {
  const Logits logits{0, 1, 2, 100, std::nanf("")};
  DeviceSampler device(gpu::fast_device(), 5);
  EXPECT_EQ(device.draw(logits, Sampler({}, 3), 1).token, 2);
  for (std::int32_t position = 1; position < 100; ++position) {
    const Token token = device.draw(logits, Sampler({.temperature = 100}, 3), position).token;
    EXPECT_TRUE(token >= 0 && token < 3);
  }
}

TEST(DeviceSampler, SaysWhichLogitIsDamaged) {
  for (const Sampling& sampling : {Sampling{}, Sampling{.temperature = 1, .top_k = 2},
                                   Sampling{.temperature = 1, .top_k = 2000}, Sampling{.temperature = 1}}) {
    DeviceSampler device(gpu::fast_device(), 2100);
    Logits logits(2100, 1);
    const auto draw = [&] { return device.draw(logits, Sampler(sampling, size_of(logits)), 3); };
    logits[2099] = kInfinity;
    EXPECT_EQ(draw().token, ~2099);
    EXPECT_EQ(draw().logit, kInfinity);
    logits[1500] = std::nanf("");
    logits[7] = -kInfinity;
    EXPECT_EQ(draw().token, ~1500);
    EXPECT_TRUE(std::isnan(draw().logit));
    std::fill(logits.begin(), logits.end(), -kInfinity);
    EXPECT_LT(draw().token, 0);
    EXPECT_EQ(draw().logit, -kInfinity);
  }
}

TEST(DeviceSampler, HoldsAtTheEdgesOfItsParameters) {
  const Logits logits{1, 2, 3, 2.9999998f};
  DeviceSampler device(gpu::fast_device(), 4);
  for (const Sampling& sampling :
       {Sampling{.temperature = 1e-38f}, Sampling{.temperature = 1, .top_p = 1e-30f},
        Sampling{.temperature = 1e30f, .top_k = 1}, Sampling{.temperature = 1, .min_p = 0.99999994f},
        Sampling{.temperature = 1, .top_k = 1, .min_p = 0.99999994f},
        Sampling{.temperature = 1, .top_k = 1'000'000'000, .top_p = 0.1f}}) {
    EXPECT_EQ(device.draw(logits, Sampler(sampling, 4), 1).token, 2) << sampling.temperature;
  }
}

TEST(DeviceSampler, HasNoFindingInCheckingMode) {
  gpu::SoftDevice& checking = gpu::checking_device();
  const std::size_t before = checking.findings().size();
  std::mt19937 random(6);
  const Sampling of_few{.temperature = 1, .top_k = 5, .top_p = 0.9f};
  for (const std::size_t size : {1U, 33U, 1300U}) {
    DeviceSampler device(checking, static_cast<std::int64_t>(size));
    const Logits logits = random_logits(random, size, 0.5f, false);
    for (const Sampling& sampling :
         {Sampling{.repetition_penalty = 1.1f}, Sampling{.temperature = 1, .top_k = 20, .top_p = 0.9f},
          of_few, Sampling{.temperature = 1, .top_p = 0.9999f, .min_p = 0.001f, .presence_penalty = 1}}) {
      draws_the_same(device, logits, sampling, 1);
    }
  }
  DeviceSampler device(checking, 1300);
  Logits logits(1300, 1);  // more than there is room for
  draws_the_same(device, logits, of_few, 1);
  logits[700] = std::nanf("");
  EXPECT_EQ(device.draw(logits, Sampler(of_few, size_of(logits)), 1).token, ~700);
  gpu::expect_no_finding(checking, before);
}

}  // namespace
}  // namespace lattice
