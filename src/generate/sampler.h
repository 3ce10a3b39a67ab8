#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "generate/penalties.h"
#include "lattice/model.hpp"
#include "lattice/sampling.hpp"
#include "model/backend.h"

namespace lattice {

/// Draws tokens from logits, in the steps that Sampling names. Filters order tokens by logit, the lower id
/// first where two are equal, so that what is kept never depends on the machine. Time is linear in the
/// vocabulary: parts are selected, nothing large is sorted. Allocates in its constructor alone.
class Sampler {
 public:
  /// `n_ids`: of the logits, those that may be drawn; at least one. What the model computes beyond the
  /// tokenizer's last id is padding. Throws Error(kUsage) for a `sampling` out of range.
  Sampler(const Sampling& sampling, std::int64_t n_ids);

  /// Tells the penalties of the prompt.
  void see_prompt(std::span<const Token> prompt) { penalties_.see_prompt(prompt); }
  /// Tells them that a token, drawn or forced, has become part of the text.
  void see_generated(Token token) { penalties_.see_generated(token); }

  /// Draws by a device that goes on for `most` tokens as this would.
  [[nodiscard]] DrawOptions draw_options(std::int64_t most) const;

  /// The token at `position` of the sequence: a pure function of `logits` (at least n_ids), the tokens seen,
  /// the seed and `position`. A logit of −∞ excludes its token; throws Error where all are, or one is +∞ or
  /// NaN.
  [[nodiscard]] Token draw(std::span<const float> logits, std::int64_t position);

 private:
  struct Candidate {
    Token id;
    float logit;
    double weight;  ///< its probability over that of the likeliest
  };
  static bool is_likelier(const Candidate& a, const Candidate& b) noexcept {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }

  [[nodiscard]] std::span<const float> penalised(std::span<const float> logits);
  [[nodiscard]] float find_largest(std::span<const float> logits);
  [[nodiscard]] Token first_of(std::span<const float> logits, float largest) const;
  void keep_top_k(std::span<const float> logits);
  void weigh(float largest);
  void keep_top_p();
  void keep_min_p();
  void keep_until(const Candidate& last);
  [[nodiscard]] Token pick(std::int64_t position) const;

  Sampling sampling_;
  std::size_t n_ids_;
  Penalties penalties_;
  std::vector<float> penalised_;  // [n_ids], where penalties are active
  std::vector<float> column_max_;
  std::vector<float> column_scratch_;
  std::vector<Candidate> candidates_;  // by ascending id
  std::vector<Candidate> scratch_;     // in any order
};

}  // namespace lattice
