#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/session_impl.h"
#include "generate/ids_only.h"
#include "lattice/error.hpp"
#include "lattice/generate.hpp"
#include "model/golden.h"

namespace lattice {
namespace {

using golden::Ids;

const Model& model_on_one_thread() {
  static const Model model = [] {
    LoadOptions options;
    options.device = "cpu";
    options.threads = 1;
    return Model::load(golden::shipped_model_path(), options);
  }();
  return model;
}

/// Texts that repeat themselves, that do not, and that do so misleadingly.
std::vector<Ids> prompts() {
  std::vector<Ids> out;
  for (const char* text :
       {"Once upon a time", "Lily", "the cat sat. the cat sat. the cat sat. the cat",
        "Tom had a red ball. Sam had a blue ball. Tom had a red ball. Sam had a green ball. Tom had a",
        "One day, a little girl named Lily found a needle in her room. One day, a little girl named Tim "
        "found "
        "a"}) {
    out.push_back(model_on_one_thread().encode(text));
  }
  out.push_back({out[0].front()});
  out.push_back(Ids(40, out[0].front()));
  return out;
}

/// Everything that a caller can see of a generation but its times, and what the session then holds.
struct Seen {
  Ids tokens;
  std::string text;
  FinishReason reason;
  Ids heard;
  std::string heard_text;
  std::vector<std::int64_t> positions;  // of the session, whenever the callback is called
  Ids held;
  std::vector<float> logits;

  bool operator==(const Seen&) const = default;
};

struct Outcome {
  Seen seen;
  Generation generation;
};

Outcome run(Session& session, const Ids& prompt, GenerateOptions options, std::int64_t cancel_after = -1) {
  Outcome out;
  options.on_token = [&](Token token, std::string_view text) {
    out.seen.heard.push_back(token);
    out.seen.heard_text += text;
    out.seen.positions.push_back(session.position());
    return static_cast<std::int64_t>(out.seen.heard.size()) != cancel_after;
  };
  out.generation = generate(session, prompt, options);
  out.seen.tokens = out.generation.tokens;
  out.seen.text = out.generation.text;
  out.seen.reason = out.generation.finish_reason;
  out.seen.held = session.tokens();
  const std::span<const float> logits = session.logits();
  out.seen.logits.assign(logits.begin(), logits.end());
  return out;
}

struct Tally {
  std::int64_t drafted = 0;
  std::int64_t accepted = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
};

/// The same generation with guesses and without; and what follows it.
void expect_the_same(const Ids& prompt, const GenerateOptions& options, std::int64_t context, Tally& tally,
                     std::int64_t cancel_after = -1) {
  const Model& model = model_on_one_thread();
  Session plain(model, context);
  const Outcome expected = run(plain, prompt, options, cancel_after);
  EXPECT_EQ(expected.generation.drafted_tokens, 0);
  EXPECT_EQ(expected.generation.decode_tokens, expected.generation.decode_steps);
  std::optional<Token> next;
  if (plain.position() < context) next = expected.seen.tokens.empty() ? 5 : expected.seen.tokens.back();
  if (next) plain.feed(*next);
  for (const std::int64_t guesses : {1, 4, 7}) {
    SCOPED_TRACE("guesses a pass: " + std::to_string(guesses));
    GenerateOptions with = options;
    with.draft = Draft::kLookup;
    with.draft_tokens = guesses;
    Session session(model, context);
    const Outcome out = run(session, prompt, with, cancel_after);
    ASSERT_TRUE(out.seen == expected.seen) << out.seen.text << "\nand without guesses\n"
                                           << expected.seen.text;
    const Generation& made = out.generation;
    EXPECT_EQ(made.decode_tokens, expected.generation.decode_tokens);
    EXPECT_EQ(made.decode_steps + made.accepted_tokens, made.decode_tokens);
    EXPECT_LE(made.accepted_tokens, made.drafted_tokens);
    EXPECT_LE(made.drafted_tokens, made.decode_steps * guesses);
    tally.drafted += made.drafted_tokens;
    tally.accepted += made.accepted_tokens;
    tally.steps += made.decode_steps;
    tally.tokens += made.decode_tokens;
    // What was guessed ahead is gone: the session goes on as the other one.
    if (next) {
      session.feed(*next);
      EXPECT_TRUE(std::ranges::equal(session.logits(), plain.logits()));
    }
  }
}

TEST(Speculation, LeavesGreedyTextsAsTheyAre) {
  GenerateOptions options;
  options.max_tokens = 40;
  options.ignore_eos = true;
  Tally tally;
  for (const Ids& prompt : prompts()) expect_the_same(prompt, options, 512, tally);
  EXPECT_GT(tally.accepted, 20);
  EXPECT_GT(tally.drafted, tally.accepted) << "nothing was ever guessed wrongly";
}

TEST(Speculation, LeavesDrawnTextsAsTheyAre) {
  GenerateOptions options;
  options.max_tokens = 25;
  Tally tally;
  std::uint64_t seed = 100;
  for (const Ids& prompt : prompts()) {
    for (const Sampling& sampling :
         {Sampling{.temperature = 1}, Sampling{.temperature = 0.7f, .top_k = 20, .top_p = 0.9f},
          Sampling{.temperature = 0.3f, .min_p = 0.05f, .repetition_penalty = 1.1f},
          Sampling{.temperature = 0.8f, .presence_penalty = 1.5f, .frequency_penalty = -0.5f}}) {
      options.sampling = sampling;
      options.sampling.seed = ++seed;
      expect_the_same(prompt, options, 512, tally);
    }
  }
  EXPECT_GT(tally.accepted, 5);
  EXPECT_GT(tally.drafted, tally.accepted);
}

/// Wherever the text ends, within what was guessed or not.
TEST(Speculation, EndsWhereItWouldEnd) {
  const Ids prompt = prompts()[2];
  Tally tally;
  GenerateOptions options;
  options.ignore_eos = true;
  for (std::int64_t most = 1; most <= 8; ++most) {
    options.max_tokens = most;
    expect_the_same(prompt, options, 512, tally);
  }
  options.max_tokens = 0;
  for (std::int64_t room = 1; room <= 8; ++room)
    expect_the_same(prompt, options, static_cast<std::int64_t>(prompt.size()) + room, tally);
  options.max_tokens = 20;
  for (std::int64_t after = 1; after <= 8; ++after) expect_the_same(prompt, options, 512, tally, after);
  for (const char* stop : {"sat", "at. the", ".", " c", "e cat sat. the cat s"}) {
    options.stop = {stop};
    expect_the_same(prompt, options, 512, tally);
  }
  EXPECT_GT(tally.accepted, 0);
}

TEST(Speculation, EndsWithTheText) {
  GenerateOptions options;
  Tally tally;
  expect_the_same(prompts()[0], options, 300, tally);
  EXPECT_GT(tally.steps, 0);
}

/// A callback may use its session, and what is then read ahead is of no matter.
TEST(Speculation, DoesNotMindACallbackThatUsesItsSession) {
  const Ids prompt = prompts()[2];
  const auto tokens_of = [&](Draft draft) {
    Session session(model_on_one_thread(), 512);
    GenerateOptions options;
    options.max_tokens = 30;
    options.ignore_eos = true;
    options.draft = draft;
    int calls = 0;
    options.on_token = [&](Token, std::string_view) {
      if (++calls % 4 == 0) session.take_snapshot();
      if (calls % 5 == 0) (void)session.logits();
      if (calls == 17) session.feed(3);
      return true;
    };
    return generate(session, prompt, options).tokens;
  };
  EXPECT_EQ(tokens_of(Draft::kLookup), tokens_of(Draft::kNone));
}

TEST(Speculation, ComesBackToASnapshotTakenBeforeIt) {
  const Ids prompt = prompts()[3];
  GenerateOptions options;
  options.max_tokens = 12;
  options.draft = Draft::kLookup;
  Session session(model_on_one_thread(), 512);
  session.feed(prompt);
  session.take_snapshot();
  const Generation first = generate(session, prompt, options);
  const Generation second = generate(session, prompt, options);
  EXPECT_EQ(second.reused_tokens, second.prompt_tokens);
  EXPECT_EQ(second.tokens, first.tokens);
  EXPECT_GT(first.drafted_tokens, 0);
}

TEST(Speculation, IsRefusedWhereItCannotBe) {
  GenerateOptions options;
  options.draft = Draft::kLookup;
  options.draft_tokens = -1;
  EXPECT_NE(refusal_of(model_on_one_thread(), options).find("draft_tokens is -1"), std::string::npos);
  options.draft_tokens = 8;
  EXPECT_NE(refusal_of(model_on_one_thread(), options).find("at most 7"), std::string::npos);
  options.draft_tokens = 0;
  LoadOptions load;
  load.device = "reference";
  const Model reference = Model::load(golden::find_case("base").model, load);
  EXPECT_NE(refusal_of(reference, options).find("cannot take guesses back"), std::string::npos);
}

}  // namespace
}  // namespace lattice
