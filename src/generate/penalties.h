#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lattice/model.hpp"
#include "lattice/sampling.hpp"

namespace lattice {

/// Makes tokens that were there before less likely (or more, by penalties of the other sign).
///
/// The repetition penalty counts prompt and generated tokens, as Hugging Face's does (Keskar et al., CTRL,
/// 2019); presence and frequency penalties count generated tokens alone, as in OpenAI's API. Where all are
/// set, that is their order.
class Penalties {
 public:
  /// For ids from 0 to n_ids − 1; others are ignored.
  Penalties(const Sampling& sampling, std::int64_t n_ids);

  /// Whether any of them changes anything.
  [[nodiscard]] bool are_active() const noexcept { return repeats_ || counts_; }
  void see_prompt(std::span<const Token> prompt);
  void see_generated(Token token);
  /// Changes `logits`, [n_ids], in place.
  void apply(std::span<float> logits) const;
  /// What was seen of each id, in words as DrawOptions::seen has them: for a device that applies the
  /// penalties itself.
  [[nodiscard]] std::vector<std::uint32_t> words() const;

 private:
  [[nodiscard]] bool is_known(Token token) const;
  void see(Token token);

  double repetition_;
  double presence_;
  double frequency_;
  bool repeats_;                           // whether the repetition penalty is set
  bool counts_;                            // whether one of the others is
  std::vector<Token> seen_;                // distinct
  std::vector<bool> is_seen_;              // by id
  std::vector<std::int32_t> n_generated_;  // by id
};

}  // namespace lattice
