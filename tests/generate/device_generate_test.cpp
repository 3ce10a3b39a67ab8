// generate() where the device draws the tokens: the soft one, whose texts are held to the CPU's.

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/session_impl.h"
#include "generate/ids_only.h"
#include "lattice/generate.hpp"
#include "model/golden.h"

namespace lattice {
namespace {

using golden::Ids;

Model load(const std::filesystem::path& path, const std::string& device) {
  LoadOptions options;
  options.device = device;
  options.threads = 2;
  return Model::load(path, options);
}
const Model& shipped_on(const std::string& device) {
  static const Model cpu = load(golden::shipped_model_path(), "cpu");
  static const Model soft = load(golden::shipped_model_path(), "soft");
  return device == "cpu" ? cpu : soft;
}
/// A small checkpoint on the soft device, which has no tokenizer.
const Model& small_model() {
  static const Model model = load(golden::find_case("base").model, "soft");
  return model;
}

Generation generate_on(const std::string& device, const std::string& prompt, GenerateOptions options) {
  Session session(shipped_on(device), 512);
  return generate(session, shipped_on(device).encode(prompt), options);
}

TEST(DeviceGenerate, GivesTheCpusText) {
  ASSERT_TRUE(Session(shipped_on("soft"), 8).impl().has_streams());
  GenerateOptions options;
  options.max_tokens = 28;
  for (const char* prompt : {"Once upon a time", "The little dragon was sad because"}) {
    const Generation expected = generate_on("cpu", prompt, options);
    const Generation out = generate_on("soft", prompt, options);
    EXPECT_EQ(out.text, expected.text);
    EXPECT_EQ(out.tokens, expected.tokens);
    EXPECT_EQ(out.decode_steps, expected.decode_steps);
    EXPECT_EQ(out.finish_reason, FinishReason::kLength);
  }
}

TEST(DeviceGenerate, GivesTheCpusTextForTheSameSeed) {
  for (const Sampling& sampling :
       {Sampling{.temperature = 0.8f, .top_k = 40, .top_p = 0.9f, .seed = 11},
        Sampling{.temperature = 1, .top_p = 0.95f, .repetition_penalty = 1.1f, .seed = 12},
        Sampling{.temperature = 1,
        .min_p = 0.05f,
        .presence_penalty = 0.5f,
        .frequency_penalty = 0.2f,
        .seed = 13}}) {
    GenerateOptions options;
    options.sampling = sampling;
    options.max_tokens = 16;
    EXPECT_EQ(generate_on("soft", "Once upon a time", options).text,
              generate_on("cpu", "Once upon a time", options).text);
  }
}

TEST(DeviceGenerate, EndsWithTheText) {
  GenerateOptions options;
  options.max_tokens = 60;
  const std::string prompt = "Everyone lived happily";
  const Generation expected = generate_on("cpu", prompt, options);
  ASSERT_EQ(expected.finish_reason, FinishReason::kEos);
  ASSERT_GE(expected.tokens.size(), 2U);  // otherwise the device has nothing to do
  const Generation out = generate_on("soft", prompt, options);
  EXPECT_EQ(out.finish_reason, FinishReason::kEos);
  EXPECT_EQ(out.text, expected.text);
}

TEST(DeviceGenerate, StopsBeforeAStopStringAndGoesOn) {
  const Model& model = shipped_on("soft");
  GenerateOptions options;
  options.max_tokens = 30;
  const Generation whole = generate_on("cpu", "Once upon a time", options);
  options.stop = {whole.text.substr(41, 5)};
  Session session(model, 512);
  const Generation out = generate(session, model.encode("Once upon a time"), options);
  EXPECT_EQ(out.finish_reason, FinishReason::kStop);
  EXPECT_EQ(out.text, whole.text.substr(0, whole.text.find(options.stop[0])));

  // As a chat goes on: what was written, and more.
  Ids more = session.tokens();
  const Ids turn = model.encode(" Then the dog");
  more.insert(more.end(), turn.begin(), turn.end());
  options.stop.clear();
  options.max_tokens = 8;
  const Generation next = generate(session, more, options);
  EXPECT_EQ(next.reused_tokens, static_cast<std::int64_t>(more.size() - turn.size()));
  Session fresh(shipped_on("cpu"), 512);
  EXPECT_EQ(next.tokens, generate(fresh, more, options).tokens);
}

/// Wherever a text is broken off, the session is what it would be had its tokens been fed one by one, to the
/// last bit.
TEST(DeviceGenerate, LeavesTheSessionAsFeedingItsTokensDoes) {
  const Ids prompt{5, 9};
  for (const std::size_t most : {1U, 2U, 6U, 9U, 10U, 14U, 19U}) {
    Session session(small_model(), 64);
    GenerateOptions options = ids_only(40);
    std::vector<Token> heard;
    options.on_token = [&](Token token, std::string_view) {
      EXPECT_EQ(session.position(), static_cast<std::int64_t>(prompt.size() + heard.size()));
      heard.push_back(token);
      return heard.size() < most;
    };
    const Generation out = generate(session, prompt, options);
    EXPECT_EQ(out.finish_reason, FinishReason::kCancelled);
    EXPECT_EQ(session.position(), static_cast<std::int64_t>(prompt.size() + most - 1));

    Session fed(small_model(), 64);
    fed.feed(prompt);
    for (std::size_t i = 0; i + 1 < most; ++i) fed.feed(heard[i]);
    EXPECT_EQ(session.tokens(), fed.tokens());
    EXPECT_TRUE(std::ranges::equal(session.logits(), fed.logits())) << most;
    session.feed(3);
    fed.feed(3);
    EXPECT_TRUE(std::ranges::equal(session.logits(), fed.logits())) << most;
  }
}

TEST(DeviceGenerate, LetsACallbackUseTheSession) {
  const Ids prompt{5, 9};
  Session plain(small_model(), 64);
  const Generation expected = generate(plain, prompt, ids_only(20));

  Session session(small_model(), 64);
  Session other(small_model(), 64);
  GenerateOptions options = ids_only(20);
  std::size_t calls = 0;
  options.on_token = [&](Token token, std::string_view) {
    if (token < 0) return true;
    if (calls == 6) session.take_snapshot();
    if (calls == 9) (void)generate(other, prompt, ids_only(5));
    if (calls == 12) (void)session.logits();
    ++calls;
    return true;
  };
  EXPECT_EQ(generate(session, prompt, options).tokens, expected.tokens);

  Ids back = prompt;  // to the snapshot, which was taken before the seventh token was fed
  back.insert(back.end(), expected.tokens.begin(), expected.tokens.begin() + 8);
  EXPECT_EQ(session.sync(back), static_cast<std::int64_t>(prompt.size()) + 6);
  Session fed(small_model(), 64);
  fed.feed(prompt);
  for (std::size_t i = 0; i < 8; ++i) fed.feed(expected.tokens[i]);
  ASSERT_EQ(session.tokens(), fed.tokens());
  for (std::size_t i = 0; i < fed.logits().size(); ++i) {
    ASSERT_NEAR(session.logits()[i], fed.logits()[i], 1e-4);  // two tokens at once may round differently
  }
}

TEST(DeviceGenerate, ReadsASessionsOwnTokensAgain) {
  const Ids prompt{5, 9};
  Session session(small_model(), 64);
  const Generation out = generate(session, prompt, ids_only(12));
  // Exactly what it holds: the logits are had without feeding anything.
  const std::vector<Token> held = session.tokens();
  EXPECT_EQ(session.sync(held), static_cast<std::int64_t>(held.size()));
  EXPECT_EQ(std::ranges::max_element(session.logits()) - session.logits().begin(), out.tokens.back());
}

TEST(DeviceGenerate, EndsWithTheContext) {
  Session session(small_model(), 12);
  GenerateOptions options = ids_only(0);
  const Generation out = generate(session, Ids{1, 2, 3}, options);
  EXPECT_EQ(out.finish_reason, FinishReason::kContext);
  EXPECT_EQ(out.tokens.size(), 9U);
}

}  // namespace
}  // namespace lattice
