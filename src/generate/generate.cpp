#include "lattice/generate.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "engine/model_impl.h"
#include "engine/session_impl.h"
#include "generate/sampler.h"
#include "generate/stop_matcher.h"
#include "support/fail.h"
#include "text/tokenizer.h"

namespace lattice {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Ids → text that may be shown.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, const GenerateOptions& options)
      : decoder_(tokenizer, options.with_special), stops_(options.stop) {}

  [[nodiscard]] std::string push(Token token) { return stops_.push(decoder_.push(token)); }
  [[nodiscard]] bool has_stopped() const noexcept { return stops_.has_matched(); }
  [[nodiscard]] std::string finish() {
    std::string text = stops_.push(decoder_.finish());
    return text += stops_.finish();
  }

 private:
  StreamDecoder decoder_;
  StopMatcher stops_;
};

void check_options(const GenerateOptions& options) {
  options.sampling.check();
  if (options.max_tokens < 0) fail_usage("max_tokens is {}, not 0 (no limit) or more", options.max_tokens);
  if (!options.stop.empty() && !options.decode_text) {
    fail_usage("stop strings are looked for in the text, and decode_text is off");
  }
}

void check_prompt(const Session& session, std::size_t prompt_tokens) {
  if (prompt_tokens == 0) fail_usage("the prompt is empty: give it at least one token");
  const std::int64_t context = session.context();
  if (std::cmp_less(prompt_tokens, context)) return;
  const std::int64_t most = session.model().max_context();
  if (std::cmp_less(prompt_tokens, most)) {
    fail_usage(
        "the prompt has {} tokens, and the context of {} has no room for them and a reply: make the context "
        "larger (this model takes up to {}) or the prompt shorter",
        prompt_tokens, context, most);
  }
  fail_usage(
      "the prompt has {} tokens, and the model's longest context, {}, has no room for them and a reply: make "
      "the "
      "prompt shorter",
      prompt_tokens, most);
}

/// One run of generate().
class Run {
 public:
  Run(Session& session, std::span<const Token> prompt, const GenerateOptions& options)
      : session_(session),
        options_(options),
        limit_(limit_of(session, prompt.size(), options.max_tokens)),
        tokenizer_(options.decode_text ? &session.model().impl().text.tokenizer() : nullptr),
        sampler_(options.sampling, drawable_ids()) {
    if (tokenizer_ != nullptr) stream_.emplace(*tokenizer_, options);
    sampler_.see_prompt(prompt);
    out_.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  }

  Generation go(std::span<const Token> prompt) {
    out_.reused_tokens = session_.sync(prompt, options_.prefill_progress);
    out_.prefill_seconds = seconds_since(start_);
    out_.finish_reason = loop();
    finish_text();
    return std::move(out_);
  }

 private:
  /// How many tokens may come, and what it means when they have.
  struct Limit {
    std::int64_t tokens;
    FinishReason reason;
  };

  static Limit limit_of(const Session& session, std::size_t prompt_tokens, std::int64_t max_tokens) {
    const std::int64_t room = session.context() - static_cast<std::int64_t>(prompt_tokens);
    if (max_tokens == 0 || max_tokens > room) return {room, FinishReason::kContext};
    return {max_tokens, FinishReason::kLength};
  }

  [[nodiscard]] std::int64_t drawable_ids() const {
    const std::int64_t computed = session_.model().vocab_size();
    return tokenizer_ == nullptr ? computed : std::min(computed, tokenizer_->size());
  }

  /// Draws and feeds until something ends it.
  FinishReason loop() {
    Token token = draw();
    for (;;) {
      if (ends_text(token)) return FinishReason::kEos;
      const bool goes_on = add(token);
      if (!goes_on) return FinishReason::kCancelled;
      if (stream_ && stream_->has_stopped()) return FinishReason::kStop;
      if (std::cmp_equal(out_.tokens.size(), limit_.tokens)) return limit_.reason;
      token = step(token);
    }
  }

  [[nodiscard]] Token draw() { return sampler_.draw(session_.logits(), session_.position()); }

  /// Feeds a token and draws the next: the device does, where it can.
  Token step(Token token) {
    const Clock::time_point start = Clock::now();
    Token next = 0;
    if (session_.impl().has_streams()) {
      const std::int64_t most = limit_.tokens - static_cast<std::int64_t>(out_.tokens.size());
      next = session_.impl().step(token, [&] { return sampler_.draw_options(most); });
    } else {
      session_.feed(token);
      next = draw();
    }
    out_.decode_seconds += seconds_since(start);
    ++out_.decode_steps;
    return next;
  }

  [[nodiscard]] bool ends_text(Token token) const {
    if (options_.ignore_eos) return false;
    const std::span<const Token> ends = session_.model().eos_tokens();
    return std::find(ends.begin(), ends.end(), token) != ends.end();
  }

  /// Returns whether the caller wants more.
  bool add(Token token) {
    sampler_.see_generated(token);
    out_.tokens.push_back(token);
    const std::string text = stream_ ? stream_->push(token) : std::string();
    out_.text += text;
    if (out_.tokens.size() == 1) out_.first_token_seconds = seconds_since(start_);
    return !options_.on_token || options_.on_token(token, text);
  }

  /// Shows what was held back, unless the caller has said that it wants no more.
  void finish_text() {
    const std::string text = stream_ ? stream_->finish() : std::string();
    out_.text += text;
    if (options_.on_token && out_.finish_reason != FinishReason::kCancelled) options_.on_token(-1, text);
  }

  Session& session_;
  const GenerateOptions& options_;
  Clock::time_point start_ = Clock::now();
  Limit limit_;
  const Tokenizer* tokenizer_;  // nullptr: ids only
  Sampler sampler_;
  std::optional<TextStream> stream_;
  Generation out_;
};

}  // namespace

Generation generate(Session& session, std::span<const Token> prompt, const GenerateOptions& options) {
  check_options(options);
  check_prompt(session, prompt.size());
  return Run(session, prompt, options).go(prompt);
}

}  // namespace lattice
