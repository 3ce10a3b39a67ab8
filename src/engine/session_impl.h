#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/model_impl.h"
#include "lattice/session.hpp"
#include "model/backend.h"

namespace lattice {

struct Session::Impl {
  /// A position of the sequence: what the model remembers there, and what it says comes next.
  struct Point {
    std::unique_ptr<State> state;
    std::vector<Token> tokens;
    std::vector<float> logits;  // [vocab_size]
    bool has_logits = false;    // whether `logits` are those that follow the last of `tokens`

    [[nodiscard]] Point clone() const { return {state->clone(), tokens, logits, has_logits}; }
  };

  Impl(Model owner, std::int64_t capacity);

  /// Throws unless `added` can follow the first `position` tokens.
  void check(std::span<const Token> added, std::int64_t position) const;
  void feed(std::span<const Token> added, const ProgressCallback& progress);
  std::int64_t sync(std::span<const Token> wanted, const ProgressCallback& progress);
  void forget();

  /// Whether step() can be called.
  [[nodiscard]] bool has_streams() const noexcept { return model.impl().backend->has_streams(); }
  /// Feeds `token` and draws the next one on the device, which goes on with it before it is asked to, as a
  /// file is read ahead. `options` says how to draw; it is called where a stream begins: at the first step,
  /// and after the session was used for something else. `token` must be what the last step returned, or
  /// anything else that fits.
  template <typename MakeOptions>
  Token step(Token token, const MakeOptions& options) {
    if (stream == nullptr || token != drawn) begin_stream(token, options());
    return next_of_stream(token);
  }
  /// Ends the stream: the state is what `now.tokens` say. `with_logits`: and has their logits.
  void settle(bool with_logits);

  /// How many guesses a step can take beside its token; 0 where the backend cannot take them back.
  [[nodiscard]] std::int64_t most_guesses() const noexcept { return model.impl().backend->most_guesses(); }
  /// Whether the model's own head can guess.
  [[nodiscard]] bool has_mtp() const noexcept { return model.impl().backend->has_mtp(); }
  /// What the head guesses to come after `token`, which comes next and is not fed: `count` tokens, which must
  /// fit behind it; none before the first token of all. Good until the next call.
  [[nodiscard]] std::span<const Token> draft(Token token, std::int64_t count);
  /// Feeds `token` as feed() does, and reads ahead: computes the logits behind each of `guesses` of what
  /// comes after it in the same pass. Nobody else sees the guesses: the session holds `token` as its last.
  void feed_and_guess(Token token, std::span<const Token> guesses);
  /// Whether `token` was the next guess: then it counts as fed, without a pass. Its logits are the bits that
  /// feed() would compute.
  [[nodiscard]] bool take_guess(Token token);
  /// Takes back the guesses that did not come true: the state is what `now.tokens` say.
  void drop_guesses();

  Model model;  // first, so that it goes last: states refer to their backend
  Point now;
  std::optional<Point> snapshot;
  std::unique_ptr<TokenStream> stream;  // null: `now.state` is settled
  Token drawn = 0;                      // the last that the stream gave

 private:
  /// Tokens that the state holds past now.tokens, and the logits that follow the last of now.tokens and each
  /// of them.
  struct Ahead {
    std::vector<Token> tokens;
    std::size_t taken = 0;    // of the tokens, that have become part of now.tokens
    std::vector<float> rows;  // [1 + tokens.size(), vocab_size]

    void forget() noexcept {
      tokens.clear();
      taken = 0;
    }
  };

  void show_row(std::size_t row);
  void feed_piece(std::span<const Token> piece, bool is_last);
  void begin_stream(Token first, const DrawOptions& options);
  Token next_of_stream(Token fed);

  Ahead ahead_;
  std::vector<Token> drafted_;
};

}  // namespace lattice
