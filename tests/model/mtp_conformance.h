#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lattice/error.hpp"
#include "model/backend.h"
#include "model/backend_under_test.h"
#include "model/golden.h"

// What every backend must do that runs a model's head that guesses ahead. Used as backend_conformance.h is.

namespace lattice {

class MtpConformance : public testing::TestWithParam<BackendUnderTest> {
 protected:
  using Ids = golden::Ids;
  using Logits = Backend::Logits;

  struct Drafted {
    Ids guesses;
    std::vector<float> logits;
    bool operator==(const Drafted&) const = default;
  };

  static Drafted draft(Backend& backend, State& state, std::int32_t token, std::size_t count) {
    Drafted out{Ids(count, -1),
                std::vector<float>(count * static_cast<std::size_t>(backend.config().vocab_size))};
    backend.draft(state, token, out.guesses, out.logits);
    return out;
  }

  static std::vector<golden::Case> cases_with_head() {
    std::vector<golden::Case> all = golden::cases();
    std::erase_if(all, [](const golden::Case& one) { return one.prompts.front().drafts.empty(); });
    return all;
  }

  [[nodiscard]] std::unique_ptr<Backend> make(const golden::LoadedModel& model) const {
    return GetParam().make(model.config, model.weights);
  }

  void expect_golden(Backend& backend, State& state, const golden::GoldenDraft& golden) {
    ASSERT_EQ(state.position(), golden.after);
    const Drafted out = draft(backend, state, golden.token, golden.guesses.size());
    EXPECT_EQ(out.guesses, golden.guesses);
    ASSERT_EQ(out.logits.size(), golden.logits.size());
    for (std::size_t i = 0; i < out.logits.size(); ++i) {
      ASSERT_NEAR(out.logits[i], golden.logits[i], GetParam().logit_tolerance)
          << "logit " << i << " after " << golden.after << " tokens";
    }
    EXPECT_EQ(state.position(), golden.after);
  }
};

/// After a prompt that was taken in at once, and after tokens that were decoded one by one.
TEST_P(MtpConformance, DraftsAsTheGoldenFilesSay) {
  const std::vector<golden::Case> cases = cases_with_head();
  ASSERT_GE(cases.size(), 3u);
  for (const golden::Case& one : cases) {
    const golden::LoadedModel model = golden::load_model(one.model);
    const auto backend = make(model);
    ASSERT_TRUE(backend->has_mtp());
    for (const golden::CasePrompt& prompt : one.prompts) {
      SCOPED_TRACE(one.name + ", prompt of " + std::to_string(prompt.ids.size()));
      const auto state = backend->new_state(300);
      backend->forward(*state, prompt.ids, Logits::kNone, {});
      expect_golden(*backend, *state, prompt.drafts.at(0));
      for (const std::int32_t& id : prompt.continuation)
        backend->forward(*state, {&id, 1}, Logits::kNone, {});
      expect_golden(*backend, *state, prompt.drafts.at(1));
    }
  }
}

TEST_P(MtpConformance, AnySplitOfThePrefillGivesTheSameDraft) {
  const golden::Case one = golden::find_case("mtp_tied");
  const golden::LoadedModel model = golden::load_model(one.model);
  const auto backend = make(model);
  const golden::CasePrompt& prompt = one.prompts.back();
  const std::span<const std::int32_t> ids(prompt.ids);
  ASSERT_EQ(ids.size(), 257u);
  for (const std::vector<std::size_t>& split : std::vector<std::vector<std::size_t>>{
           {256, 1}, {1, 256}, {129, 128}, {8, 9, 240}, {2, 3, 5, 7, 11, 13, 216}}) {
    SCOPED_TRACE("first piece " + std::to_string(split.front()));
    const auto state = backend->new_state(300);
    std::size_t first = 0;
    for (const std::size_t size : split) {
      backend->forward(*state, ids.subspan(first, size), Logits::kNone, {});
      first += size;
    }
    expect_golden(*backend, *state, prompt.drafts.at(0));
  }
}

/// Guesses leave nothing behind, however often they are made and whether they come true or not.
TEST_P(MtpConformance, ADraftLeavesTheStateAsItIs) {
  const golden::Case one = golden::find_case("mtp");
  const golden::LoadedModel model = golden::load_model(one.model);
  const auto backend = make(model);
  const auto vocab = static_cast<std::size_t>(model.config.vocab_size);
  const auto drafting = backend->new_state(100);
  const auto plain = backend->new_state(100);
  std::vector<float> a(vocab), b(vocab);
  const Ids& ids = one.prompts[2].ids;  // 64
  backend->forward(*drafting, std::span(ids).first(10), Logits::kLast, a);
  backend->forward(*plain, std::span(ids).first(10), Logits::kLast, b);
  for (std::size_t i = 10; i < 40; ++i) {
    const Drafted once = draft(*backend, *drafting, 7, 1 + i % 5);
    EXPECT_EQ(draft(*backend, *drafting, 7, 1 + i % 5), once);
    backend->forward(*drafting, {&ids[i], 1}, Logits::kLast, a);
    backend->forward(*plain, {&ids[i], 1}, Logits::kLast, b);
    ASSERT_EQ(a, b) << "token " << i;
    ASSERT_EQ(draft(*backend, *drafting, ids[i + 1], 2), draft(*backend, *plain, ids[i + 1], 2));
  }
}

TEST_P(MtpConformance, ClonesDraftFromTheirOwnTokensAndAResetStateAsANewOne) {
  const golden::Case one = golden::find_case("mtp");
  const golden::LoadedModel model = golden::load_model(one.model);
  const auto backend = make(model);
  const std::span<const std::int32_t> ids(one.prompts.back().ids);
  const auto original = backend->new_state(200);
  backend->forward(*original, ids.first(70), Logits::kNone, {});
  const auto clone = original->clone();
  EXPECT_EQ(draft(*backend, *clone, 5, 3), draft(*backend, *original, 5, 3));
  backend->forward(*original, ids.subspan(70, 20), Logits::kNone, {});
  backend->forward(*clone, ids.subspan(90, 30), Logits::kNone, {});
  const Drafted from_original = draft(*backend, *original, 5, 3), from_clone = draft(*backend, *clone, 5, 3);
  EXPECT_NE(from_original, from_clone);
  original->reset();
  backend->forward(*original, ids.first(70), Logits::kNone, {});
  backend->forward(*original, ids.subspan(90, 30), Logits::kNone, {});
  EXPECT_EQ(draft(*backend, *original, 5, 3), from_clone);
}

TEST_P(MtpConformance, RefusesWhatCannotBeDrafted) {
  const golden::LoadedModel model = golden::load_model(golden::find_case("mtp").model);
  const auto backend = make(model);
  const auto vocab = static_cast<std::size_t>(model.config.vocab_size);
  const auto refuses = [&](Backend& by, State& state, std::int32_t token, std::size_t guesses,
                           std::size_t logits, const char* why) {
    Ids out(guesses);
    std::vector<float> rows(logits);
    const std::int64_t position = state.position();
    try {
      by.draft(state, token, out, rows);
      ADD_FAILURE() << "was not refused: " << why;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUsage);
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    }
    EXPECT_EQ(state.position(), position);
  };
  const auto state = backend->new_state(8);
  refuses(*backend, *state, 1, 1, vocab, "before the first token");
  backend->forward(*state, Ids{1, 2, 3, 4, 5}, Logits::kNone, {});
  refuses(*backend, *state, -1, 1, vocab, "outside the vocabulary");
  refuses(*backend, *state, static_cast<std::int32_t>(vocab), 1, vocab, "outside the vocabulary");
  refuses(*backend, *state, 1, 3, 3 * vocab, "do not fit");
  refuses(*backend, *state, 1, 2, 2 * vocab - 1, "room for");
  EXPECT_EQ(draft(*backend, *state, 1, 2).guesses.size(), 2u);

  const golden::LoadedModel without = golden::load_model(golden::find_case("base").model);
  const auto headless = make(without);
  EXPECT_FALSE(headless->has_mtp());
  const auto other = headless->new_state(8);
  headless->forward(*other, Ids{1}, Logits::kNone, {});
  refuses(*headless, *other, 1, 1, 201, "no head");
}

}  // namespace lattice
