#include "lattice/session.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/fixtures.h"
#include "engine/model_impl.h"

namespace lattice {
namespace {

using golden::Ids;
constexpr double kTolerance = 2e-3;  // as for every backend

Token likeliest(std::span<const float> logits) {
  return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

std::vector<float> copy_of(std::span<const float> logits) {
  return {logits.begin(), logits.end()};
}

Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// `count` ids of the base checkpoint's vocabulary, different for every `seed`.
Ids some_ids(std::size_t count, unsigned seed) {
  Ids ids;
  std::uint32_t x = seed * 2654435761u + 1;
  for (std::size_t i = 0; i < count; ++i) {
    x = x * 1664525u + 1013904223u;
    ids.push_back(static_cast<Token>((x >> 8) % 201));
  }
  return ids;
}

class SessionTest : public testing::Test {
 protected:
  /// The logits that a session of its own has after `tokens`.
  [[nodiscard]] std::vector<float> logits_after(const Ids& tokens) const {
    Session fresh(model);
    fresh.feed(tokens);
    return copy_of(fresh.logits());
  }
  void expect_holds(const Session& session, const Ids& tokens) const {
    EXPECT_EQ(session.tokens(), tokens);
    EXPECT_EQ(session.position(), static_cast<std::int64_t>(tokens.size()));
    const std::vector<float> expected = logits_after(tokens);
    ASSERT_EQ(session.logits().size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(session.logits()[i], expected[i], kTolerance) << i;
    }
  }

  const Model model = Model::load(golden::find_case("base").model);
  const Ids a = some_ids(70, 1);
  const Ids b = some_ids(33, 2);
  const Ids c = some_ids(41, 3);
};

TEST(ShippedSession, ContinuesThePromptsAsHuggingFaceDoes) {
  const Model model = Model::load(golden::shipped_model_path());
  const golden::ShippedGolden expected = golden::shipped();
  Session session(model);
  for (const golden::ShippedPrompt& prompt : expected.prompts) {
    session.sync(prompt.ids);
    for (const Token token : prompt.continuation) {
      ASSERT_EQ(likeliest(session.logits()), token);
      session.feed(token);
    }
  }
}

TEST(ShippedSession, ATurnAfterASnapshotIsAsIfItWereTheFirst) {
  const Model model = Model::load(golden::shipped_model_path());
  const golden::ShippedGolden expected = golden::shipped();
  const golden::ShippedPrompt& prompt = expected.prompts.front();
  Session session(model);
  session.feed(std::span(prompt.ids).first(1));
  session.take_snapshot();
  session.feed(std::span(expected.text).first(900));
  EXPECT_EQ(session.sync(prompt.ids), 1);
  for (const Token token : prompt.continuation) {
    ASSERT_EQ(likeliest(session.logits()), token);
    session.feed(token);
  }
}

TEST_F(SessionTest, StartsEmpty) {
  const Session session(model);
  EXPECT_EQ(session.context(), 1024);
  EXPECT_EQ(session.position(), 0);
  EXPECT_TRUE(session.tokens().empty());
  expect_error(kUsage, {"no logits"}, [&] { (void)session.logits(); });
  EXPECT_EQ(Session(model, 7).context(), 7);
}

TEST_F(SessionTest, RefusesImpossibleContexts) {
  for (const std::int64_t context : {std::int64_t{-1}, std::int64_t{1025}, INT64_MIN, INT64_MAX}) {
    expect_error(kUsage, {std::to_string(context), "1024"}, [&] { const Session session(model, context); });
  }
}

TEST_F(SessionTest, FeedsALongPromptInPiecesAndReportsThem) {
  const Ids prompt = some_ids(1024, 4);
  Session session(model);
  std::vector<std::int64_t> reports;
  session.feed(prompt, [&](std::string_view what, std::int64_t done, std::int64_t total) {
    EXPECT_EQ(what, "prefill");
    EXPECT_EQ(total, 1024);
    EXPECT_EQ(done, session.position());
    reports.push_back(done);
  });
  EXPECT_GT(reports.size(), 1u);
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
  EXPECT_EQ(reports.back(), 1024);
  // In one call of the backend, without the session's pieces.
  Backend& backend = *model.impl().backend;
  const auto state = backend.new_state(1024);
  std::vector<float> at_once(201);
  backend.forward(*state, prompt, Backend::Logits::kLast, at_once);
  for (std::size_t i = 0; i < at_once.size(); ++i) ASSERT_NEAR(session.logits()[i], at_once[i], kTolerance);
}

TEST_F(SessionTest, RefusesTokensThatCannotBeAndStaysAsItWas) {
  Session session(model, 80);
  session.feed(a);
  const std::vector<float> before = copy_of(session.logits());
  const auto refuse = [&](std::initializer_list<std::string_view> parts,
                          const std::function<void()>& action) {
    expect_error(kUsage, parts, action);
    EXPECT_EQ(session.tokens(), a);
    EXPECT_EQ(copy_of(session.logits()), before);
  };
  refuse({"no tokens"}, [&] { session.feed(Ids{}); });
  refuse({"-1", "201"}, [&] { session.feed(Ids{1, -1}); });
  refuse({"201"}, [&] { session.feed(Token{201}); });
  refuse({"11 more tokens", "70 of the context's 80"}, [&] { session.feed(some_ids(11, 5)); });
  refuse({"no tokens"}, [&] { session.sync(Ids{}); });
  refuse({"201"}, [&] { session.sync(Ids{1, 201}); });
  refuse({"81 tokens do not fit the context of 80"}, [&] { session.sync(some_ids(81, 5)); });
  session.feed(some_ids(10, 5));  // exactly full
  EXPECT_EQ(session.position(), 80);
  expect_error(kUsage, {"80 of the context's 80"}, [&] { session.feed(Token{1}); });
}

TEST_F(SessionTest, SyncFeedsWhatIsNewAlone) {
  Session session(model);
  EXPECT_EQ(session.sync(a), 0);
  expect_holds(session, a);
  std::int64_t fed = 0;
  EXPECT_EQ(
      session.sync(joined(a, b), [&](std::string_view, std::int64_t, std::int64_t total) { fed = total; }),
      70);
  EXPECT_EQ(fed, 33);
  expect_holds(session, joined(a, b));
  EXPECT_EQ(session.sync(joined(a, b), [](auto...) { ADD_FAILURE() << "nothing is new"; }), 103);
  expect_holds(session, joined(a, b));
}

TEST_F(SessionTest, SyncStartsAfreshWhereNothingCanBeReused) {
  Session session(model);
  session.feed(joined(a, b));
  EXPECT_EQ(session.sync(joined(a, c)), 0) << "the recurrent state cannot be rolled back";
  expect_holds(session, joined(a, c));
  EXPECT_EQ(session.sync(a), 0) << "not even to a beginning";
  expect_holds(session, a);
}

TEST_F(SessionTest, SyncComesBackToTheSnapshotAsOftenAsAsked) {
  Session session(model);
  session.feed(a);
  session.take_snapshot();
  session.feed(b);
  EXPECT_EQ(session.sync(joined(a, c)), 70);
  expect_holds(session, joined(a, c));
  EXPECT_EQ(session.sync(joined(a, b)), 70);
  expect_holds(session, joined(a, b));
  EXPECT_EQ(session.sync(a), 70) << "the snapshot has its own logits";
  expect_holds(session, a);
  EXPECT_EQ(session.sync(joined(b, a)), 0) << "a snapshot of something else";
  EXPECT_EQ(session.sync(joined(a, c)), 70) << "outlives a fresh start";
  expect_holds(session, joined(a, c));
}

TEST_F(SessionTest, SyncTakesTheLongerBeginning) {
  Session session(model);
  session.feed(a);
  session.take_snapshot();
  session.feed(b);
  EXPECT_EQ(session.sync(joined(joined(a, b), c)), 103) << "what it holds goes further than the snapshot";
  session.take_snapshot();
  session.sync(a);
  EXPECT_EQ(session.sync(joined(joined(joined(a, b), c), a)), 144) << "the snapshot goes further";
  expect_holds(session, joined(joined(joined(a, b), c), a));
}

TEST_F(SessionTest, TheNewestSnapshotIsKept) {
  Session session(model);
  session.feed(a);
  session.take_snapshot();
  session.feed(b);
  session.take_snapshot();
  session.feed(c);
  EXPECT_EQ(session.sync(joined(a, c)), 0);
  EXPECT_EQ(session.sync(joined(joined(a, b), a)), 103);
}

TEST_F(SessionTest, ASnapshotOfNothingIsNoHelpAndNoHarm) {
  Session session(model);
  session.take_snapshot();
  session.feed(a);
  EXPECT_EQ(session.sync(b), 0);
  expect_holds(session, b);
}

TEST_F(SessionTest, ResetForgetsTheTokensAndTheSnapshot) {
  Session session(model);
  session.feed(a);
  session.take_snapshot();
  session.reset();
  EXPECT_EQ(session.position(), 0);
  expect_error(kUsage, {"no logits"}, [&] { (void)session.logits(); });
  EXPECT_EQ(session.sync(joined(a, b)), 0);
  expect_holds(session, joined(a, b));
}

/// Every split of a sequence into calls, with snapshots and returns between, gives what one call gives.
TEST_F(SessionTest, AnyPathToTheSameTokensGivesTheSameLogits) {
  Session session(model);
  std::uint32_t x = 7;
  const auto random = [&x](std::uint32_t below) {
    x = x * 1664525u + 1013904223u;
    return (x >> 8) % below;
  };
  Ids tokens;
  std::optional<Ids> snapshot;
  for (int step = 0; step < 60; ++step) {
    switch (random(4)) {
      case 0:
        session.take_snapshot();
        snapshot = tokens;
        break;
      case 1:
        if (snapshot && !snapshot->empty()) {
          tokens = *snapshot;
          session.sync(tokens);
        }
        break;
      default: {
        const Ids more = some_ids(1 + random(40), 100 + static_cast<unsigned>(step));
        if (tokens.size() + more.size() > 1000) break;
        tokens = joined(tokens, more);
        if (random(2) == 0) {
          session.feed(more);
        } else {
          session.sync(tokens);
        }
      }
    }
    if (!tokens.empty()) expect_holds(session, tokens);
  }
}

TEST_F(SessionTest, ACallbackThatThrowsLeavesWhatWasFed) {
  const Ids prompt = some_ids(1000, 6);
  Session session(model);
  EXPECT_THROW(session.feed(prompt, [](auto...) { throw std::runtime_error("enough"); }), std::runtime_error);
  ASSERT_GT(session.position(), 0);
  ASSERT_LT(session.position(), 1000);
  EXPECT_EQ(session.tokens(), Ids(prompt.begin(), prompt.begin() + session.position()));
  expect_error(kUsage, {"no logits"}, [&] { (void)session.logits(); });
  const Ids held = session.tokens();
  EXPECT_EQ(session.sync(prompt), static_cast<std::int64_t>(held.size()));
  expect_holds(session, prompt);
}

TEST_F(SessionTest, WithoutLogitsItDoesNotPassForSynced) {
  const Ids prompt = some_ids(1000, 6);
  Session session(model);
  EXPECT_THROW(session.feed(prompt, [](auto...) { throw std::runtime_error("enough"); }), std::runtime_error);
  const Ids held = session.tokens();
  EXPECT_EQ(session.sync(held), 0) << "the logits after these were never computed";
  expect_holds(session, held);
}

/// A backend that gives up in its n-th forward pass, after the tokens have gone into the state.
class FailingBackend final : public Backend {
 public:
  FailingBackend(std::unique_ptr<Backend> inner, int passes) : inner_(std::move(inner)), passes_(passes) {}
  std::string description() const override { return inner_->description(); }
  const Config& config() const noexcept override { return inner_->config(); }
  std::unique_ptr<State> new_state(std::int64_t capacity) const override {
    return inner_->new_state(capacity);
  }
  void forward(State& state, std::span<const std::int32_t> tokens, Logits which,
               std::span<float> out) override {
    inner_->forward(state, tokens, which, out);
    if (--passes_ == 0) throw Error("the device is lost");
  }

 private:
  std::unique_ptr<Backend> inner_;
  int passes_;
};

TEST_F(SessionTest, ABackendThatFailsLeavesAnEmptySession) {
  const Model failing = Model::load(golden::find_case("base").model);
  failing.impl().backend = std::make_unique<FailingBackend>(std::move(failing.impl().backend), 3);
  Session session(failing);
  session.feed(a);
  session.take_snapshot();
  expect_error(Error::Kind::kInput, {"the device is lost"}, [&] { session.feed(some_ids(900, 8)); });
  EXPECT_EQ(session.position(), 0);
  EXPECT_TRUE(session.tokens().empty());
  expect_error(kUsage, {"no logits"}, [&] { (void)session.logits(); });
  EXPECT_EQ(session.sync(joined(a, b)), 70) << "the snapshot is as good as ever";
  expect_holds(session, joined(a, b));
  session.reset();
  session.feed(c);
  expect_holds(session, c);
}

TEST_F(SessionTest, MovesAndKeepsItsModelAlive) {
  std::optional<Model> own = Model::load(golden::find_case("base").model);
  Session first(*own);
  own.reset();
  first.feed(a);
  Session second = std::move(first);
  second.feed(b);
  expect_holds(second, joined(a, b));
  EXPECT_EQ(second.model().vocab_size(), 201);
  Session third(model);
  third = std::move(second);
  expect_holds(third, joined(a, b));
}

TEST_F(SessionTest, SessionsOfOneModelLiveOnSeveralThreads) {
  constexpr int kThreads = 3;
  std::vector<std::vector<float>> logits(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Session session(model);
      session.feed(some_ids(100, static_cast<unsigned>(t)));
      session.take_snapshot();
      for (int step = 0; step < 8; ++step) session.feed(likeliest(session.logits()));
      session.sync(joined(some_ids(100, static_cast<unsigned>(t)), b));
      logits[static_cast<std::size_t>(t)] = copy_of(session.logits());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    Session alone(model);
    alone.feed(some_ids(100, static_cast<unsigned>(t)));
    alone.feed(b);
    EXPECT_EQ(logits[static_cast<std::size_t>(t)], copy_of(alone.logits())) << "thread " << t;
  }
}

#ifdef __linux__
std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST_F(SessionTest, ALongContextTakesMemoryAsItFillsAndNotBefore) {
  const CheckpointCopy copy(golden::find_case("base").model);
  copy.configure([](nlohmann::json& config) { config["max_position_embeddings"] = 1 << 24; });
  const Model huge = Model::load(copy.path());
  const std::int64_t before = resident_bytes();
  Session session(huge);  // 512 bytes of keys and values a token: 8.6 GB
  ASSERT_EQ(session.context(), 1 << 24);
  session.feed(a);
  session.take_snapshot();
  EXPECT_LT(resident_bytes() - before, std::int64_t{256} << 20);
  expect_holds(session, a);
}
#endif

}  // namespace
}  // namespace lattice
