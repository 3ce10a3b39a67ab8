#pragma once

#include <cstdint>

#include "lattice/export.h"

namespace lattice {

/// How the next token is drawn from the logits. Steps in order: penalties, temperature, top-k, top-p, min-p,
/// then a draw from what is left. Ids that the tokenizer does not have are never drawn.
struct LATTICE_API Sampling {
  float temperature = 0.0f;  ///< ≥ 0; 0 is greedy: the likeliest token, the lower id where two are equal
  std::int32_t top_k = 0;    ///< keep the k likeliest; 0: all
  float top_p = 1.0f;        ///< keep the likeliest whose probabilities add up to this; (0, 1]
  float min_p = 0.0f;        ///< drop what is less likely than this times the likeliest; [0, 1)
  float repetition_penalty = 1.0f;  ///< > 0; divides positive and multiplies negative logits of seen tokens
  float presence_penalty = 0.0f;    ///< taken off the logit of every generated token's id once, in [−2, 2]
  float frequency_penalty = 0.0f;   ///< taken off once for each time it was generated, in [−2, 2]
  std::uint64_t seed = 0;           ///< same seed, same text, at any number of threads

  [[nodiscard]] bool is_greedy() const noexcept { return temperature == 0.0f; }
  /// Throws Error(kUsage) naming the field that is out of its range.
  void check() const;
};

}  // namespace lattice
