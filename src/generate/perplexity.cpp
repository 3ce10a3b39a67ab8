#include "lattice/perplexity.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <vector>

#include "engine/model_impl.h"
#include "model/damaged_logits.h"
#include "support/fail.h"

namespace lattice {
namespace {

// Rows of logits that are computed at once: as many as fit 64 MiB (67 of the real vocabulary), and no more
// than a batch for which every backend has reached its full rate.
constexpr std::int64_t kMaxLogitBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMaxRows = 512;

/// −log softmax(logits)[target], in double: the sum runs over a quarter of a million terms.
double negative_log_likelihood(std::span<const float> logits, Token target) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return largest + std::log(sum) - double{logits[static_cast<std::size_t>(target)]};
}

void check_tokens(std::span<const Token> tokens, std::int64_t vocab_size) {
  if (tokens.size() < 2) fail_usage("perplexity needs at least two tokens, and {} were given", tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab_size) {
      fail_usage("token {} has the id {}, which is outside the model's vocabulary of {}", i, tokens[i],
                 vocab_size);
    }
  }
}

/// The predictions of one window.
std::int64_t checked_window(std::int64_t window, std::int64_t predictions, std::int64_t max_context) {
  if (window < 0) fail_usage("the window is {}, not 0 (all at once) or more", window);
  const std::int64_t tokens = window == 0 ? predictions : std::min(window, predictions);
  if (tokens > max_context) {
    fail_usage("a window of {} tokens is longer than the model's longest context: choose one of at most {}",
               tokens, max_context);
  }
  return tokens;
}

/// Feeds tokens to a state, piece by piece, and adds up how well each next one was predicted.
class Measurement {
 public:
  Measurement(const Model& model, std::span<const Token> tokens, std::int64_t window)
      : impl_(model.impl()),
        tokens_(tokens),
        vocab_size_(static_cast<std::size_t>(model.vocab_size())),
        state_(impl_.backend->new_state(window)) {
    const std::int64_t fitting = kMaxLogitBytes / (model.vocab_size() * std::int64_t{sizeof(float)});
    rows_ = static_cast<std::size_t>(std::clamp<std::int64_t>(std::min(fitting, window), 1, kMaxRows));
    logits_.resize(rows_ * vocab_size_);
  }

  void begin_window() { state_->reset(); }

  /// Reads the tokens [first, last), as far as one piece goes. Returns where it stopped.
  std::size_t read(std::size_t first, std::size_t last) {
    const std::size_t count = std::min(rows_, last - first);
    const std::span<float> rows(logits_.data(), count * vocab_size_);
    impl_.with_backend([&](Backend& backend) {
      backend.forward(*state_, tokens_.subspan(first, count), Backend::Logits::kAll, rows);
    });
    for (std::size_t i = 0; i < count; ++i) {
      add(rows.subspan(i * vocab_size_, vocab_size_), first + i + 1);
    }
    return first + count;
  }

  [[nodiscard]] double sum() const noexcept { return sum_; }

 private:
  void add(std::span<const float> logits, std::size_t predicted) {
    const double nll = negative_log_likelihood(logits, tokens_[predicted]);
    if (std::isnan(nll)) {
      fail("the model's logits for token {} are not numbers: {}", predicted, kCausesOfDamage);
    }
    sum_ += nll;
  }

  Model::Impl& impl_;
  std::span<const Token> tokens_;
  std::size_t vocab_size_;
  std::unique_ptr<State> state_;
  std::size_t rows_ = 0;
  std::vector<float> logits_;  // [rows_, vocab_size_]
  double sum_ = 0;
};

}  // namespace

double Perplexity::value() const noexcept {
  return std::exp(mean_nll);
}

Perplexity perplexity(const Model& model, std::span<const Token> tokens, std::int64_t window,
                      const ProgressCallback& progress) {
  check_tokens(tokens, model.vocab_size());
  const std::size_t predictions = tokens.size() - 1;
  const auto total = static_cast<std::int64_t>(predictions);
  const auto size = static_cast<std::size_t>(checked_window(window, total, model.max_context()));
  Measurement measurement(model, tokens, static_cast<std::int64_t>(size));
  for (std::size_t first = 0; first < predictions; first += size) {
    measurement.begin_window();
    const std::size_t last = std::min(first + size, predictions);
    for (std::size_t at = first; at < last;) {
      at = measurement.read(at, last);
      if (progress) progress("perplexity", static_cast<std::int64_t>(at), total);
    }
  }
  return {measurement.sum() / static_cast<double>(total), total};
}

}  // namespace lattice
