#pragma once

#include <cstdint>
#include <span>

#include "lattice/export.h"
#include "lattice/model.hpp"

namespace lattice {

struct LATTICE_API Perplexity {
  double mean_nll = 0;      ///< mean of −log p(token | tokens before it), natural logarithm
  std::int64_t tokens = 0;  ///< predicted
  [[nodiscard]] double value() const noexcept;  ///< exp(mean_nll)
};

/// How well the model predicts `tokens`. In windows of `window` predictions, each from an empty state: window
/// i reads tokens i·window … i·window + window − 1 and predicts the one after each. 0: one window over all.
/// Throws Error(kUsage) for fewer than two tokens, ids out of range, a window that the model's context does
/// not hold.
[[nodiscard]] LATTICE_API Perplexity perplexity(const Model& model, std::span<const Token> tokens,
                                                std::int64_t window = 0,
                                                const ProgressCallback& progress = {});

}  // namespace lattice
