#include "lattice/generate.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "generate/shipped_model.h"
#include "lattice/error.hpp"
#include "model/golden.h"

namespace lattice {
namespace {

using golden::Ids;

const Ids& once_upon_a_time() {
  static const Ids ids = shipped_model().encode("Once upon a time");
  return ids;
}

/// What the callback is told.
struct Heard {
  std::vector<Token> tokens;
  std::string text;
  int last_calls = 0;

  TokenCallback callback(std::size_t most = 1'000'000) {
    return [this, most](Token token, std::string_view more) {
      EXPECT_EQ(last_calls, 0) << "called again after the last call";
      text += more;
      if (token == -1) {
        ++last_calls;
      } else {
        tokens.push_back(token);
      }
      return tokens.size() < most;
    };
  }
};

TEST(Generate, ContinuesGreedilyAsHuggingFaceDoes) {
  const golden::ShippedGolden golden = golden::shipped();
  ASSERT_EQ(golden.prompts.size(), 5U);
  Session session(shipped_model());
  for (const golden::ShippedPrompt& prompt : golden.prompts) {
    GenerateOptions options;
    options.max_tokens = static_cast<std::int64_t>(prompt.continuation.size());
    options.ignore_eos = true;
    options.with_special = true;
    const Generation out = generate(session, prompt.ids, options);
    EXPECT_EQ(out.tokens, prompt.continuation);
    EXPECT_EQ(out.text, shipped_model().decode(prompt.continuation, true));
    EXPECT_EQ(out.finish_reason, FinishReason::kLength);
    EXPECT_EQ(out.prompt_tokens, static_cast<std::int64_t>(prompt.ids.size()));
    EXPECT_EQ(out.decode_steps, options.max_tokens - 1);
  }
}

TEST(Generate, GivesTheSameTextForTheSameSeedAtAnyNumberOfThreads) {
  GenerateOptions options;
  options.sampling = {
      .temperature = 0.9f, .top_k = 50, .top_p = 0.95f, .repetition_penalty = 1.05f, .seed = 7};
  options.max_tokens = 80;
  std::vector<Generation> outs;
  for (const int threads : {1, 2, 3}) {
    const Model model = load_shipped(threads);
    Session session(model);
    outs.push_back(generate(session, once_upon_a_time(), options));
  }
  EXPECT_EQ(outs[0].tokens.size(), 80U);
  EXPECT_EQ(outs[1].tokens, outs[0].tokens);
  EXPECT_EQ(outs[2].tokens, outs[0].tokens);
  options.sampling.seed = 8;
  Session session(shipped_model());
  EXPECT_NE(generate(session, once_upon_a_time(), options).tokens, outs[0].tokens);
}

TEST(Generate, DoesNotDependOnWhatTheSessionHeldBefore) {
  GenerateOptions options;
  options.max_tokens = 24;
  options.sampling = {.temperature = 1, .top_k = 40, .seed = 3};
  Session fresh(shipped_model());
  const Generation expected = generate(fresh, once_upon_a_time(), options);
  EXPECT_EQ(expected.reused_tokens, 0);

  Session used(shipped_model());
  used.feed(shipped_model().encode("Another story altogether"));
  EXPECT_EQ(generate(used, once_upon_a_time(), options).tokens, expected.tokens);
  // The whole prompt is held, but more than it: it must be read again.
  EXPECT_EQ(generate(used, once_upon_a_time(), options).tokens, expected.tokens);

  // Going on where the text ended reads the last token alone, and draws as one long run does.
  options.max_tokens = 10;
  Session session(shipped_model());
  Ids text = once_upon_a_time();
  while (text.size() < once_upon_a_time().size() + 20) {
    const Generation out = generate(session, text, options);
    text.insert(text.end(), out.tokens.begin(), out.tokens.end());
  }
  EXPECT_TRUE(std::equal(text.begin() + static_cast<std::ptrdiff_t>(once_upon_a_time().size()), text.end(),
                         expected.tokens.begin()));
  EXPECT_EQ(generate(session, text, options).reused_tokens, static_cast<std::int64_t>(text.size()) - 1);
}

TEST(Generate, ComesBackToASnapshot) {
  GenerateOptions options;
  options.max_tokens = 16;
  Session session(shipped_model());
  session.feed(once_upon_a_time());
  session.take_snapshot();
  const Generation first = generate(session, once_upon_a_time(), options);
  EXPECT_EQ(first.reused_tokens, first.prompt_tokens);
  const Generation second = generate(session, once_upon_a_time(), options);
  EXPECT_EQ(second.reused_tokens, second.prompt_tokens);
  EXPECT_EQ(second.tokens, first.tokens);
}

TEST(Generate, TellsTheCallbackEverything) {
  Heard heard;
  GenerateOptions options;
  options.max_tokens = 20;
  options.on_token = heard.callback();
  std::vector<std::int64_t> read;
  options.prefill_progress = [&](std::string_view, std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, static_cast<std::int64_t>(once_upon_a_time().size()));
    read.push_back(done);
  };
  Session session(shipped_model());
  const Generation out = generate(session, once_upon_a_time(), options);
  EXPECT_EQ(heard.tokens, out.tokens);
  EXPECT_EQ(heard.text, out.text);
  EXPECT_EQ(heard.last_calls, 1);
  EXPECT_EQ(out.text, shipped_model().decode(out.tokens));
  ASSERT_FALSE(read.empty());
  EXPECT_EQ(read.back(), out.prompt_tokens);
}

TEST(Generate, StopsWhenTheCallbackSaysSo) {
  Heard heard;
  GenerateOptions options;
  options.on_token = heard.callback(5);
  Session session(shipped_model());
  const Generation out = generate(session, once_upon_a_time(), options);
  EXPECT_EQ(out.finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(out.tokens.size(), 5U);
  EXPECT_EQ(heard.last_calls, 0);
  EXPECT_EQ(session.position(), out.prompt_tokens + 4);  // the last token was not fed
}

TEST(Generate, EndsWithTheText) {
  GenerateOptions options;
  options.max_tokens = 1000;
  Session session(shipped_model());
  const Generation out = generate(session, once_upon_a_time(), options);
  ASSERT_EQ(out.finish_reason, FinishReason::kEos);
  const auto is_end = [](Token token) {
    const auto ends = shipped_model().eos_tokens();
    return std::find(ends.begin(), ends.end(), token) != ends.end();
  };
  EXPECT_TRUE(std::none_of(out.tokens.begin(), out.tokens.end(), is_end));

  options.ignore_eos = true;
  options.max_tokens = static_cast<std::int64_t>(out.tokens.size()) + 3;
  const Generation longer = generate(session, once_upon_a_time(), options);
  EXPECT_EQ(longer.finish_reason, FinishReason::kLength);
  EXPECT_EQ(longer.tokens.size(), out.tokens.size() + 3);
  EXPECT_TRUE(is_end(longer.tokens[out.tokens.size()]));
}

TEST(Generate, StopsBeforeAStopString) {
  GenerateOptions options;
  options.max_tokens = 60;
  Session session(shipped_model());
  const std::string whole = generate(session, once_upon_a_time(), options).text;
  // Strings that begin and end inside of tokens.
  for (const auto& [from, length] : {std::pair{10U, 1U}, {21U, 3U}, {33U, 7U}, {50U, 20U}}) {
    Heard heard;
    options.stop = {"never in a story", whole.substr(from, length)};
    options.on_token = heard.callback();
    const Generation out = generate(session, once_upon_a_time(), options);
    EXPECT_EQ(out.finish_reason, FinishReason::kStop);
    EXPECT_EQ(out.text, whole.substr(0, whole.find(options.stop[1])));
    EXPECT_EQ(heard.text, out.text);
    EXPECT_EQ(heard.tokens, out.tokens);
    EXPECT_NE(shipped_model().decode(out.tokens).find(options.stop[1]), std::string::npos);
  }
  // A text that ends within what might have become a stop string shows it all the same.
  Heard heard;
  options.stop = {whole.substr(whole.size() - 4) + "\x01"};
  options.on_token = heard.callback();
  EXPECT_EQ(generate(session, once_upon_a_time(), options).text, whole);
  EXPECT_EQ(heard.text, whole);
}

TEST(Generate, EndsWithTheContext) {
  Session session(shipped_model(), 16);
  const Generation out = generate(session, once_upon_a_time());
  EXPECT_EQ(out.finish_reason, FinishReason::kContext);
  EXPECT_EQ(out.tokens.size(), 16 - once_upon_a_time().size());
  GenerateOptions options;
  options.max_tokens = 16 - static_cast<std::int64_t>(once_upon_a_time().size());
  EXPECT_EQ(generate(session, once_upon_a_time(), options).finish_reason, FinishReason::kLength);
}

TEST(Generate, WorksOnIdsAlone) {
  const golden::Case one = golden::find_case("base");  // a checkpoint that has no tokenizer
  const Model model = Model::load(one.model);
  Session session(model);
  GenerateOptions options;
  options.max_tokens = 4;
  options.ignore_eos = true;
  EXPECT_THROW((void)generate(session, one.prompts[0].ids, options), Error);
  Heard heard;
  options.decode_text = false;
  options.on_token = heard.callback();
  const Generation out = generate(session, one.prompts[0].ids, options);
  EXPECT_EQ(out.tokens.size(), 4U);
  EXPECT_EQ(out.text, "");
  EXPECT_EQ(heard.tokens, out.tokens);
  EXPECT_EQ(heard.last_calls, 1);
}

TEST(Generate, TakesItsTimes) {
  GenerateOptions options;
  options.max_tokens = 10;
  options.ignore_eos = true;
  Session session(shipped_model());
  const Generation out = generate(session, once_upon_a_time(), options);
  EXPECT_GT(out.prefill_seconds, 0);
  EXPECT_GE(out.first_token_seconds, out.prefill_seconds);
  EXPECT_GT(out.decode_seconds, 0);
  EXPECT_EQ(out.decode_steps, 9);
}

std::string error_of(Session& session, const Ids& prompt, const GenerateOptions& options = {}) {
  try {
    (void)generate(session, prompt, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUsage);
    return error.what();
  }
  return {};
}

TEST(Generate, SaysWhatToDoWithAPromptThatDoesNotFit) {
  Session session(shipped_model(), 8);
  const std::string most = std::to_string(shipped_model().max_context());
  EXPECT_EQ(error_of(session, Ids(8, 1)),
            "the prompt has 8 tokens, and the context of 8 has no room for them and a reply: make the "
            "context larger "
            "(this model takes up to " +
                most + ") or the prompt shorter");
  const auto n_tokens = static_cast<std::size_t>(shipped_model().max_context());
  EXPECT_EQ(error_of(session, Ids(n_tokens, 1)),
            "the prompt has " + most + " tokens, and the model's longest context, " + most +
                ", has no room for them and a reply: make the prompt shorter");
  EXPECT_EQ(error_of(session, {}), "the prompt is empty: give it at least one token");
  EXPECT_EQ(session.position(), 0);
}

TEST(Generate, RefusesOptionsOutOfRange) {
  Session session(shipped_model());
  GenerateOptions options;
  options.max_tokens = -1;
  EXPECT_EQ(error_of(session, {1}, options), "max_tokens is -1, not 0 (no limit) or more");
  options = {};
  options.sampling.top_p = 2;
  EXPECT_EQ(error_of(session, {1}, options), "top_p is 2, not above 0 and at most 1");
  options = {};
  options.stop = {""};
  EXPECT_EQ(error_of(session, {1}, options), "a stop string is empty");
  options.decode_text = false;
  EXPECT_EQ(error_of(session, {1}, options),
            "stop strings are looked for in the text, and decode_text is off");
  EXPECT_NE(error_of(session, {1, 8192}), "");
}

TEST(FinishReasonName, NamesEach) {
  EXPECT_EQ(finish_reason_name(FinishReason::kEos), "eos");
  EXPECT_EQ(finish_reason_name(FinishReason::kStop), "stop");
  EXPECT_EQ(finish_reason_name(FinishReason::kLength), "length");
  EXPECT_EQ(finish_reason_name(FinishReason::kContext), "context");
  EXPECT_EQ(finish_reason_name(FinishReason::kCancelled), "cancelled");
}

}  // namespace
}  // namespace lattice
