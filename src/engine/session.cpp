#include "lattice/session.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/model_impl.h"
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

struct Session::Impl {
  /// A position of the sequence: what the model remembers there, and what it says comes next.
  struct Point {
    std::unique_ptr<State> state;
    std::vector<Token> tokens;
    std::vector<float> logits;  // [vocab_size]
    bool has_logits = false;    // whether `logits` are those that follow the last of `tokens`

    /// Whether feeding what is missing turns this into `wanted`, with its logits.
    [[nodiscard]] bool leads_to(std::span<const Token> wanted) const {
      return is_prefix(tokens, wanted) && (has_logits || tokens.size() < wanted.size());
    }
    [[nodiscard]] Point clone() const { return {state->clone(), tokens, logits, has_logits}; }
  };

  Impl(Model owner, std::int64_t capacity) : model(std::move(owner)) {
    now.state = model.impl().backend->new_state(capacity);
    now.logits.resize(static_cast<std::size_t>(model.vocab_size()));
  }

  void check(std::span<const Token> added, std::int64_t position) const;
  void feed(std::span<const Token> added, const ProgressCallback& progress);
  void feed_piece(std::span<const Token> piece, bool is_last);
  void forget();

  Model model;  // first, so that it goes last: states refer to their backend
  Point now;
  std::optional<Point> snapshot;
};

/// Throws unless `added` can follow the first `position` tokens.
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
    model.impl().forward(*now.state, piece, is_last ? Backend::Logits::kLast : Backend::Logits::kNone,
                         is_last ? std::span<float>(now.logits) : std::span<float>());
  } catch (...) {
    forget();
    throw;
  }
  now.has_logits = is_last;
}

void Session::Impl::forget() {
  now.state->reset();
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
  const std::optional<Impl::Point>& snapshot = impl_->snapshot;
  const bool now_leads = impl_->now.leads_to(tokens);
  const bool snapshot_leads = snapshot && snapshot->leads_to(tokens);
  if (snapshot_leads && (!now_leads || snapshot->tokens.size() > impl_->now.tokens.size())) {
    impl_->now = snapshot->clone();
  } else if (!now_leads) {
    impl_->forget();
  }
  const std::size_t reused = impl_->now.tokens.size();
  impl_->feed(tokens.subspan(reused), progress);
  return static_cast<std::int64_t>(reused);
}

void Session::take_snapshot() {
  impl_->snapshot = impl_->now.clone();
}

std::span<const float> Session::logits() const {
  if (!impl_->now.has_logits) fail_usage("there are no logits: feed the session a token first");
  return impl_->now.logits;
}

void Session::reset() {
  impl_->forget();
  impl_->snapshot.reset();
}

}  // namespace lattice
