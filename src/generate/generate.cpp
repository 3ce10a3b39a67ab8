#include "lattice/generate.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "engine/model_impl.h"
#include "engine/session_impl.h"
#include "generate/prompt_lookup.h"
#include "generate/sampler.h"
#include "generate/stop_matcher.h"
#include "support/fail.h"
#include "text/tokenizer.h"

namespace lattice {
namespace {

using Clock = std::chrono::steady_clock;

// More cost a pass more than they bring (docs/optimizations.md).
constexpr std::int64_t kUsualLookupGuesses = 4;
constexpr std::int64_t kUsualMtpGuesses = 1;

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

/// Where guesses are to come from, kAuto settled. Throws Error(kUsage) where the device cannot take them back
/// or the model has no such thing.
Draft draft_of(const Session& session, const GenerateOptions& options) {
  if (options.draft == Draft::kNone) return Draft::kNone;
  if (session.impl().most_guesses() == 0) {
    fail_usage("the device {} cannot take guesses back, so nothing can be drafted; use the cpu, or no draft",
               session.model().device());
  }
  const bool has_mtp = session.impl().has_mtp();
  if (options.draft == Draft::kAuto) return has_mtp ? Draft::kMtp : Draft::kLookup;
  if (options.draft == Draft::kMtp && !has_mtp) {
    const Model::Impl& model = session.model().impl();
    if (model.has_mtp_tensors) fail_usage("the model was loaded without its head that guesses ahead (MTP)");
    fail_usage("{}: the checkpoint has no head that guesses ahead (MTP); draft by lookup, or not at all",
               model.path.string());
  }
  return options.draft;
}

/// Guesses a pass that are asked for. Throws Error(kUsage) for more than the device can take back.
std::int64_t guesses_a_pass(const Session& session, const GenerateOptions& options, Draft draft) {
  if (options.draft_tokens < 0)
    fail_usage("draft_tokens is {}, not 0 (as suits the device) or more", options.draft_tokens);
  if (draft == Draft::kNone) return 0;
  const std::int64_t most = session.impl().most_guesses();
  if (options.draft_tokens > most) {
    fail_usage("{} guesses a pass were asked for; this device takes back at most {}", options.draft_tokens,
               most);
  }
  if (options.draft_tokens != 0) return options.draft_tokens;
  return std::min(most, draft == Draft::kMtp ? kUsualMtpGuesses : kUsualLookupGuesses);
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
        draft_(draft_of(session, options)),
        guesses_a_pass_(guesses_a_pass(session, options, draft_)),
        tokenizer_(options.decode_text ? &session.model().impl().text.tokenizer() : nullptr),
        sampler_(options.sampling, drawable_ids()) {
    if (tokenizer_ != nullptr) stream_.emplace(*tokenizer_, options);
    sampler_.see_prompt(prompt);
    if (guesses_a_pass_ > 0) text_.assign(prompt.begin(), prompt.end());
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

  [[nodiscard]] std::int64_t tokens_left() const {
    return limit_.tokens - static_cast<std::int64_t>(out_.tokens.size());
  }

  /// Feeds a token and draws the next: the device does, where it can.
  Token step(Token token) {
    const Clock::time_point start = Clock::now();
    Token next = 0;
    if (session_.impl().has_streams()) {
      next = session_.impl().step(token, [&] { return sampler_.draw_options(tokens_left()); });
      ++out_.decode_steps;
    } else {
      feed(token);
      next = draw();
    }
    out_.decode_seconds += seconds_since(start);
    ++out_.decode_tokens;
    return next;
  }

  /// Feeds a token: in a pass of its own, with guesses of what follows it; or in the pass that guessed it.
  /// Each token is drawn from its own logits all the same, with the random number of its position, whether it
  /// was guessed or not: so the text cannot depend on the guesses, and there is nothing to accept or reject.
  void feed(Token token) {
    if (session_.impl().take_guess(token)) {
      ++out_.accepted_tokens;
      return;
    }
    const std::span<const Token> guesses = guess(token);
    session_.impl().feed_and_guess(token, guesses);
    out_.drafted_tokens += static_cast<std::int64_t>(guesses.size());
    ++out_.decode_steps;
  }

  /// What may come after `token`, which is to be fed.
  [[nodiscard]] std::span<const Token> guess(Token token) {
    // The last token that may come is drawn and not fed; and a callback may have fed the session others.
    const std::int64_t most =
        std::min({guesses_a_pass_, tokens_left() - 1, session_.context() - session_.position() - 1});
    if (most <= 0) return {};
    return draft_ == Draft::kMtp ? session_.impl().draft(token, most) : lookup_.guess(text_, most);
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
    if (guesses_a_pass_ > 0) text_.push_back(token);
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
  Draft draft_;
  std::int64_t guesses_a_pass_;
  PromptLookup lookup_;
  std::vector<Token> text_;     // prompt and generated tokens, where guesses are wanted
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
