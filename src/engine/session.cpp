#include "lattice/session.hpp"

#include <algorithm>
#include <utility>

#include "engine/session_impl.h"
#include "support/fail.h"

namespace lattice {
namespace {

/// Tokens that are taken in at once: long enough that every backend works at its full rate, short enough that
/// progress moves, a callback that throws is obeyed, and other sessions of the model get their turn.
constexpr std::size_t kPiece = 512;

bool is_prefix(const std::vector<Token>& of, std::span<const Token> tokens) {
  return of.size() <= tokens.size() && std::equal(of.begin(), of.end(), tokens.begin());
}

}  // namespace

Session::Impl::Impl(Model owner, std::int64_t capacity) : model(std::move(owner)) {
  now.state = model.impl().backend->new_state(capacity);
  now.logits.resize(static_cast<std::size_t>(model.vocab_size()));
}

void Session::Impl::check(std::span<const Token> added, std::int64_t position) const {
  if (added.empty()) fail_usage("no tokens were given");
  const std::int64_t capacity = now.state->capacity();
  if (std::cmp_greater(added.size(), capacity - position)) {
    if (position == 0) fail_usage("{} tokens do not fit the context of {}", added.size(), capacity);
    fail_usage("{} more tokens do not fit: {} of the context's {} are taken", added.size(), position,
               capacity);
  }
  const std::int64_t vocab_size = model.vocab_size();
  for (const Token token : added) {
    if (token < 0 || token >= vocab_size) {
      fail_usage("token id {} is outside the model's vocabulary of {}", token, vocab_size);
    }
  }
}

void Session::Impl::feed(std::span<const Token> added, const ProgressCallback& progress) {
  settle(/*with_logits=*/false);
  drop_guesses();
  const auto total = static_cast<std::int64_t>(added.size());
  for (std::size_t done = 0; done < added.size();) {
    const std::size_t count = std::min(kPiece, added.size() - done);
    feed_piece(added.subspan(done, count), done + count == added.size());
    done += count;
    if (progress) progress("prefill", static_cast<std::int64_t>(done), total);
  }
}

/// Feeds one piece, or leaves an empty session where the backend gives up half-way: what its state then holds
/// is nobody's tokens.
void Session::Impl::feed_piece(std::span<const Token> piece, bool is_last) {
  now.tokens.insert(now.tokens.end(), piece.begin(), piece.end());
  now.has_logits = false;
  try {
    model.impl().with_backend([&](Backend& backend) {
      backend.forward(*now.state, piece, is_last ? Backend::Logits::kLast : Backend::Logits::kNone,
                      is_last ? std::span<float>(now.logits) : std::span<float>());
    });
  } catch (...) {
    forget();
    throw;
  }
  now.has_logits = is_last;
}

std::int64_t Session::Impl::sync(std::span<const Token> wanted, const ProgressCallback& progress) {
  // Whether feeding what is missing turns a point into `wanted`, with its logits.
  const auto leads = [&](const Point& point, bool can_have_logits) {
    return is_prefix(point.tokens, wanted) && (can_have_logits || point.tokens.size() < wanted.size());
  };
  const bool now_leads = leads(now, now.has_logits || stream != nullptr);
  const bool snapshot_leads = snapshot && leads(*snapshot, snapshot->has_logits);
  if (snapshot_leads && (!now_leads || snapshot->tokens.size() > now.tokens.size())) {
    stream.reset();
    ahead_.forget();
    now = model.impl().with_backend([&](Backend&) { return snapshot->clone(); });
  } else if (!now_leads) {
    forget();
  }
  const std::size_t reused = now.tokens.size();
  settle(/*with_logits=*/reused == wanted.size());
  feed(wanted.subspan(reused), progress);
  return static_cast<std::int64_t>(reused);
}

std::span<const Token> Session::Impl::draft(Token token, std::int64_t count) {
  settle(/*with_logits=*/false);
  drop_guesses();
  if (now.tokens.empty()) return {};
  drafted_.resize(static_cast<std::size_t>(count));
  ahead_.rows.resize(drafted_.size() * now.logits.size());
  model.impl().with_backend(
      [&](Backend& backend) { backend.draft(*now.state, token, drafted_, ahead_.rows); });
  return drafted_;
}

void Session::Impl::feed_and_guess(Token token, std::span<const Token> guesses) {
  if (guesses.empty()) {
    feed({&token, 1}, {});
    return;
  }
  settle(/*with_logits=*/false);
  drop_guesses();
  std::vector<Token> tokens{token};
  tokens.insert(tokens.end(), guesses.begin(), guesses.end());
  check(tokens, static_cast<std::int64_t>(now.tokens.size()));
  now.has_logits = false;
  ahead_.rows.resize(tokens.size() * now.logits.size());
  try {
    model.impl().with_backend(
        [&](Backend& backend) { backend.forward(*now.state, tokens, Backend::Logits::kAll, ahead_.rows); });
  } catch (...) {
    forget();
    throw;
  }
  now.tokens.push_back(token);
  ahead_.tokens.assign(guesses.begin(), guesses.end());
  ahead_.taken = 0;
  show_row(0);
}

bool Session::Impl::take_guess(Token token) {
  if (ahead_.taken == ahead_.tokens.size() || ahead_.tokens[ahead_.taken] != token) return false;
  now.tokens.push_back(token);
  show_row(++ahead_.taken);
  return true;
}

/// Makes the logits those behind the first `row` guesses.
void Session::Impl::show_row(std::size_t row) {
  const auto first = ahead_.rows.begin() + static_cast<std::ptrdiff_t>(row * now.logits.size());
  std::copy_n(first, now.logits.size(), now.logits.begin());
  now.has_logits = true;
}

void Session::Impl::drop_guesses() {
  if (ahead_.tokens.empty()) return;
  ahead_.forget();
  model.impl().with_backend(
      [&](Backend&) { now.state->rewind(static_cast<std::int64_t>(now.tokens.size())); });
}

void Session::Impl::begin_stream(Token first, const DrawOptions& options) {
  check({&first, 1}, static_cast<std::int64_t>(now.tokens.size()));
  settle(/*with_logits=*/false);
  stream =
      model.impl().with_backend([&](Backend& backend) { return backend.stream(*now.state, first, options); });
}

Token Session::Impl::next_of_stream(Token fed) {
  try {
    drawn = model.impl().with_backend([&](Backend&) { return stream->next(); });
  } catch (...) {
    forget();
    throw;
  }
  now.tokens.push_back(fed);
  now.has_logits = false;
  return drawn;
}

void Session::Impl::settle(bool with_logits) {
  if (stream == nullptr) return;
  try {
    model.impl().with_backend(
        [&](Backend&) { stream->settle(with_logits ? std::span(now.logits) : std::span<float>()); });
  } catch (...) {
    forget();
    throw;
  }
  stream.reset();
  now.has_logits = with_logits;
}

void Session::Impl::forget() {
  stream.reset();
  ahead_.forget();
  model.impl().with_backend([&](Backend&) { now.state->reset(); });
  now.tokens.clear();
  now.has_logits = false;
}

Session::Session(const Model& model, std::int64_t context)
    : impl_(std::make_unique<Impl>(model, context == 0 ? model.max_context() : context)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Model& Session::model() const noexcept {
  return impl_->model;
}
std::int64_t Session::context() const noexcept {
  return impl_->now.state->capacity();
}
const std::vector<Token>& Session::tokens() const noexcept {
  return impl_->now.tokens;
}
std::int64_t Session::position() const noexcept {
  return static_cast<std::int64_t>(impl_->now.tokens.size());
}

void Session::feed(std::span<const Token> tokens, const ProgressCallback& progress) {
  impl_->check(tokens, position());
  impl_->feed(tokens, progress);
}

std::int64_t Session::sync(std::span<const Token> tokens, const ProgressCallback& progress) {
  impl_->check(tokens, 0);
  return impl_->sync(tokens, progress);
}

void Session::take_snapshot() {
  impl_->settle(/*with_logits=*/true);
  impl_->drop_guesses();
  impl_->snapshot = impl_->model.impl().with_backend([&](Backend&) { return impl_->now.clone(); });
}

std::span<const float> Session::logits() const {
  impl_->settle(/*with_logits=*/true);
  if (!impl_->now.has_logits) fail_usage("there are no logits: feed the session a token first");
  return impl_->now.logits;
}

void Session::reset() {
  impl_->forget();
  impl_->snapshot.reset();
}

}  // namespace lattice
