#include "generate/penalties.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "model/backend.h"

namespace lattice {

Penalties::Penalties(const Sampling& sampling, std::int64_t n_ids)
    : repetition_(sampling.repetition_penalty),
      presence_(sampling.presence_penalty),
      frequency_(sampling.frequency_penalty),
      repeats_(repetition_ != 1),
      counts_(presence_ != 0 || frequency_ != 0) {
  if (!are_active()) return;
  const auto size = static_cast<std::size_t>(n_ids);
  seen_.reserve(size);
  is_seen_.resize(size);
  n_generated_.resize(size);
}

bool Penalties::is_known(Token token) const {
  return token >= 0 && std::cmp_less(token, is_seen_.size());
}

void Penalties::see(Token token) {
  const auto id = static_cast<std::size_t>(token);
  if (is_seen_[id]) return;
  is_seen_[id] = true;
  seen_.push_back(token);
}

void Penalties::see_prompt(std::span<const Token> prompt) {
  if (!repeats_) return;
  for (const Token token : prompt) {
    if (is_known(token)) see(token);
  }
}

void Penalties::see_generated(Token token) {
  if (!is_known(token)) return;
  see(token);
  ++n_generated_[static_cast<std::size_t>(token)];
}

std::vector<std::uint32_t> Penalties::words() const {
  std::vector<std::uint32_t> out(is_seen_.size());
  for (const Token token : seen_) {
    const auto id = static_cast<std::size_t>(token);
    const auto generated = static_cast<std::uint32_t>(n_generated_[id]);
    // The bit changes nothing where a token was generated, and says that it was seen where it was not.
    out[id] = DrawOptions::kInPrompt | generated;
  }
  return out;
}

void Penalties::apply(std::span<float> logits) const {
  constexpr double kMost = std::numeric_limits<float>::max();
  for (const Token token : seen_) {
    const auto id = static_cast<std::size_t>(token);
    double logit = logits[id];
    if (!std::isfinite(logit)) continue;  // the sampler's business
    logit = logit > 0 ? logit / repetition_ : logit * repetition_;
    if (const int count = n_generated_[id]; count != 0) logit -= presence_ + frequency_ * count;
    // A penalty near 0 or infinity must not make a token certain or impossible by overflow alone.
    logits[id] = static_cast<float>(std::clamp(logit, -kMost, kMost));
  }
}

}  // namespace lattice
