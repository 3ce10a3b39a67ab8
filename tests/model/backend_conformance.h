#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lattice/error.hpp"
#include "model/backend.h"
#include "model/backend_under_test.h"
#include "model/golden.h"

// What every backend must do, whatever it runs on. A test program includes this once and names its backends:
//
//   INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, testing::Values(BackendUnderTest{"avx2", make_avx2}),
//                            backend_name);

namespace lattice {

class BackendConformance : public testing::TestWithParam<BackendUnderTest> {
 protected:
  using Ids = golden::Ids;
  using Logits = Backend::Logits;

  static double log_sum_exp(std::span<const float> logits) {
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - largest);
    return largest + std::log(sum);
  }

  /// Feeds `ids` and returns the logits after the last of them.
  static std::vector<float> last_logits(Backend& backend, State& state, std::span<const std::int32_t> ids) {
    std::vector<float> logits(static_cast<std::size_t>(backend.config().vocab_size));
    backend.forward(state, ids, Logits::kLast, logits);
    return logits;
  }

  static double largest_difference(std::span<const float> a, std::span<const float> b) {
    EXPECT_EQ(a.size(), b.size());
    double largest = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
      if (!(difference <= largest)) largest = difference;  // a NaN is the largest of all
    }
    return largest;
  }

  [[nodiscard]] double tolerance() const { return GetParam().logit_tolerance; }
  [[nodiscard]] std::unique_ptr<Backend> make(const golden::LoadedModel& model) const {
    return GetParam().make(model.config, model.weights);
  }

  void expect_case(const golden::Case& one);
  void expect_unchanged_by(Backend& backend, const std::function<void(State&)>& refused);
};

/// The logits of every step and the greedy tokens, prompt in one pass and then token by token.
TEST_P(BackendConformance, ContinuesTheShippedModelsPromptsAsHuggingFaceDoes) {
  const golden::ShippedGolden expected = golden::shipped();
  const golden::LoadedModel model = golden::load_model(golden::shipped_model_path());
  const auto backend = make(model);
  ASSERT_EQ(expected.prompts.size(), 5u);
  double largest = 0;
  for (std::size_t p = 0; p < expected.prompts.size(); ++p) {
    const golden::ShippedPrompt& prompt = expected.prompts[p];
    const auto state =
        backend->new_state(static_cast<std::int64_t>(prompt.ids.size() + prompt.continuation.size()));
    std::vector<float> logits = last_logits(*backend, *state, prompt.ids);
    for (std::size_t i = 0; i < prompt.continuation.size(); ++i) {
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      ASSERT_EQ(best, prompt.continuation[i]) << "prompt " << p << ", step " << i;
      if (i < prompt.steps.size()) {
        for (const auto& [id, logit] : prompt.steps[i].top10) {
          const double difference = std::abs(logits[static_cast<std::size_t>(id)] - logit);
          EXPECT_LE(difference, tolerance()) << "prompt " << p << ", step " << i << ", token " << id;
          largest = std::max(largest, difference);
        }
        EXPECT_NEAR(log_sum_exp(logits), prompt.steps[i].logsumexp, tolerance())
            << "prompt " << p << ", step " << i;
      }
      logits = last_logits(*backend, *state, {&prompt.continuation[i], 1});
    }
    EXPECT_EQ(state->position(), state->capacity());
  }
  RecordProperty("largest_logit_difference", std::to_string(largest));
}

TEST_P(BackendConformance, HasHuggingFacesPerplexityOnTheHeldOutText) {
  const golden::ShippedGolden expected = golden::shipped();
  const golden::LoadedModel model = golden::load_model(golden::shipped_model_path());
  const auto backend = make(model);
  const std::int64_t n_tokens = GetParam().perplexity_tokens;
  const auto vocab = static_cast<std::size_t>(model.config.vocab_size);
  const auto state = backend->new_state(n_tokens);
  const std::span<const std::int32_t> text(expected.text);

  double nll = 0;
  constexpr std::int64_t kPiece =
      512;  // the goldens are of one pass; logits of 4096 tokens at once would take 134 MB
  std::vector<float> logits;
  for (std::int64_t first = 0; first < n_tokens; first += kPiece) {
    const auto piece = text.subspan(static_cast<std::size_t>(first),
                                    static_cast<std::size_t>(std::min(kPiece, n_tokens - first)));
    logits.resize(piece.size() * vocab);
    backend->forward(*state, piece, Logits::kAll, logits);
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const std::size_t next = static_cast<std::size_t>(first) + i + 1;
      if (next >= static_cast<std::size_t>(n_tokens)) break;
      const auto row = std::span<const float>(logits).subspan(i * vocab, vocab);
      nll += log_sum_exp(row) - row[static_cast<std::size_t>(text[next])];
    }
  }
  nll /= static_cast<double>(n_tokens - 1);
  const double ratio = std::exp(nll - expected.nll_of_first.at(n_tokens));
  EXPECT_NEAR(ratio, 1.0, 1e-3) << "mean −log p is " << nll;
  RecordProperty("perplexity_ratio_minus_one", std::to_string(ratio - 1));
}

inline void BackendConformance::expect_case(const golden::Case& one) {
  const golden::LoadedModel model = golden::load_model(one.model);
  const auto backend = make(model);
  const auto own_limit = GetParam().case_tolerance.find(one.name);
  const double limit = own_limit == GetParam().case_tolerance.end() ? tolerance() : own_limit->second;
  const auto vocab = static_cast<std::size_t>(model.config.vocab_size);
  ASSERT_EQ(one.prompts.size(), 5u) << one.name;
  for (const golden::CasePrompt& prompt : one.prompts) {
    SCOPED_TRACE(one.name + ", prompt of " + std::to_string(prompt.ids.size()));
    const auto state =
        backend->new_state(static_cast<std::int64_t>(prompt.ids.size() + prompt.continuation.size()));
    std::vector<float> logits(prompt.ids.size() * vocab);
    backend->forward(*state, prompt.ids, Logits::kAll, logits);
    for (std::size_t i = 0; i < prompt.ids.size(); ++i) {
      const auto row = std::span<const float>(logits).subspan(i * vocab, vocab);
      ASSERT_NEAR(log_sum_exp(row), prompt.logsumexp[i], limit) << "position " << i;
    }
    EXPECT_LE(largest_difference(std::span<const float>(logits).last(vocab), prompt.last_logits), limit);
    std::vector<float> row;
    for (std::size_t i = 0; i < prompt.continuation.size(); ++i) {
      row = last_logits(*backend, *state, {&prompt.continuation[i], 1});
      ASSERT_NEAR(log_sum_exp(row), prompt.continuation_logsumexp[i], limit) << "decoded token " << i;
    }
    EXPECT_LE(largest_difference(row, prompt.continuation_last_logits), limit);
  }
}

TEST_P(BackendConformance, AgreesWithHuggingFaceOnOddShapes) {
  const std::vector<golden::Case> cases = golden::cases();
  ASSERT_GE(cases.size(), 7u);
  for (const golden::Case& one : cases) expect_case(one);
}

/// Chunked prefill works in blocks, of 64 tokens or others; wherever a caller cuts, nothing may show.
TEST_P(BackendConformance, AnySplitOfThePrefillGivesTheSameLogits) {
  for (const char* name : {"base", "v_per_k_2"}) {
    const golden::Case one = golden::find_case(name);
    const golden::LoadedModel model = golden::load_model(one.model);
    const auto backend = make(model);
    const golden::CasePrompt& prompt = one.prompts.back();
    const std::span<const std::int32_t> ids(prompt.ids);
    ASSERT_EQ(ids.size(), 257u);
    for (const std::vector<std::size_t>& split : std::vector<std::vector<std::size_t>>{
             {256, 1}, {1, 256}, {64, 193}, {63, 65, 129}, {65, 1, 127, 64}, {2, 3, 5, 7, 11, 13, 216}}) {
      SCOPED_TRACE(std::string(name) + ", first piece " + std::to_string(split.front()));
      const auto state = backend->new_state(257);
      std::vector<float> logits;
      std::size_t first = 0;
      for (const std::size_t size : split) {
        logits = last_logits(*backend, *state, ids.subspan(first, size));
        first += size;
        EXPECT_NEAR(log_sum_exp(logits), prompt.logsumexp[first - 1], tolerance()) << "after " << first;
      }
      EXPECT_LE(largest_difference(logits, prompt.last_logits), tolerance());
    }
    const auto state = backend->new_state(257);
    for (const std::int32_t& id : ids.first(256)) backend->forward(*state, {&id, 1}, Logits::kNone, {});
    EXPECT_LE(largest_difference(last_logits(*backend, *state, ids.last(1)), prompt.last_logits), tolerance())
        << name << ", token by token";
  }
}

TEST_P(BackendConformance, ACloneGoesItsOwnWay) {
  const golden::Case one = golden::find_case("base");
  const golden::LoadedModel model = golden::load_model(one.model);
  const auto backend = make(model);
  const Ids& ids = one.prompts.back().ids;
  const Ids start(ids.begin(), ids.begin() + 70), left(ids.begin() + 70, ids.begin() + 90),
      right(ids.begin() + 90, ids.begin() + 120);

  const auto original = backend->new_state(200);
  backend->forward(*original, start, Logits::kNone, {});
  const auto clone = original->clone();
  EXPECT_EQ(clone->position(), 70);
  EXPECT_EQ(clone->capacity(), 200);
  const std::vector<float> original_logits = last_logits(*backend, *original, left);
  const std::vector<float> clone_logits = last_logits(*backend, *clone, right);
  EXPECT_EQ(original->position(), 90);
  EXPECT_EQ(clone->position(), 100);

  for (const auto& [end, logits] : {std::pair(left, original_logits), std::pair(right, clone_logits)}) {
    const auto fresh = backend->new_state(200);
    backend->forward(*fresh, start, Logits::kNone, {});
    EXPECT_EQ(largest_difference(last_logits(*backend, *fresh, end), logits), 0.0);
  }
  EXPECT_GT(largest_difference(original_logits, clone_logits), tolerance());
}

TEST_P(BackendConformance, AStateThatWasResetIsAsNew) {
  const golden::Case one = golden::find_case("base");
  const golden::LoadedModel model = golden::load_model(one.model);
  const auto backend = make(model);
  const Ids& ids = one.prompts[2].ids;
  const auto state = backend->new_state(100);
  EXPECT_EQ(state->position(), 0);
  EXPECT_EQ(state->capacity(), 100);
  const std::vector<float> first = last_logits(*backend, *state, ids);
  EXPECT_EQ(state->position(), static_cast<std::int64_t>(ids.size()));
  state->reset();
  EXPECT_EQ(state->position(), 0);
  EXPECT_EQ(largest_difference(last_logits(*backend, *state, ids), first), 0.0);
}

/// Calls `refused`, which must throw a usage error, on a state in use, and checks that what follows is what
/// would have been.
inline void BackendConformance::expect_unchanged_by(Backend& backend,
                                                    const std::function<void(State&)>& refused) {
  const Ids start{5, 4, 3, 2, 1}, next{6};
  const auto state = backend.new_state(8);
  backend.forward(*state, start, Logits::kNone, {});
  const auto untouched = state->clone();
  try {
    refused(*state);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUsage) << error.what();
    EXPECT_NE(std::string(error.what()), "");
  }
  EXPECT_EQ(state->position(), 5);
  EXPECT_EQ(largest_difference(last_logits(backend, *state, next), last_logits(backend, *untouched, next)),
            0.0);
}

TEST_P(BackendConformance, RefusesWhatCannotBeAndLeavesTheStateAlone) {
  const golden::LoadedModel model = golden::load_model(golden::find_case("base").model);
  const auto backend = make(model);
  const auto vocab = static_cast<std::int32_t>(model.config.vocab_size);
  std::vector<float> logits(static_cast<std::size_t>(vocab));
  const auto refuses = [&](const char* what, const Ids& ids, Logits which, std::span<float> out) {
    SCOPED_TRACE(what);
    expect_unchanged_by(*backend, [&](State& state) { backend->forward(state, ids, which, out); });
  };
  refuses("no tokens", {}, Logits::kLast, logits);
  refuses("an id below 0", {1, -1}, Logits::kLast, logits);
  refuses("an id past the vocabulary", {1, 2, vocab}, Logits::kLast, logits);
  refuses("more tokens than fit", {1, 2, 3, 4}, Logits::kLast, logits);
  refuses("too little room for the logits", {1}, Logits::kLast, std::span(logits).first(logits.size() - 1));
  refuses("room for one row of two", {1, 2}, Logits::kAll, logits);

  EXPECT_THROW((void)backend->new_state(0), Error);
  EXPECT_THROW((void)backend->new_state(model.config.max_position_embeddings + 1), Error);
  EXPECT_THROW((void)backend->new_state(INT64_MAX), Error);
}

TEST_P(BackendConformance, SaysWhatItIs) {
  const golden::LoadedModel model = golden::load_model(golden::find_case("base").model);
  const auto backend = make(model);
  EXPECT_FALSE(backend->description().empty());
  EXPECT_EQ(backend->config().vocab_size, model.config.vocab_size);
  EXPECT_EQ(backend->config().layers, model.config.layers);
}

}  // namespace lattice
