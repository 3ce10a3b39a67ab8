#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "model/backend.h"

namespace lattice {

/// What keys and values in binary16 may cost. Each number is rounded by u = 2⁻¹¹ of itself at most. A score,
/// q · k / √d, is off by u · Σ |qᵢkᵢ| / √d, at most u · |q| |k| / √d: norms of √d make that u · √d, 2.8e-3
/// for the heads of 32 of the cases and 7.8e-3 for 256. A weight of the softmax is off by twice as much of
/// itself, an output by that and u more, 6e-3 of what it is a mean of. A logit of 3 that took all of it would
/// be off by 2e-2.
constexpr double kHalvesTolerance = 2e-2;

struct BackendUnderTest {
  std::string name;
  std::function<std::unique_ptr<Backend>(const Config&, const Weights&)> make;
  /// Largest difference from Hugging Face's logits, absolute. Theirs are float32 as well, so an agreement to
  /// about 1e-5 of the logits' size is what two correct programs reach; this leaves room for other orders of
  /// summation.
  double logit_tolerance = 2e-3;
  /// How much of the held-out text to read: one of those that golden.json has a figure for (128 … 4096).
  std::int64_t perplexity_tokens = 4096;
  /// Cases under tests/data/model, by name, whose logits may differ by more.
  std::map<std::string, double> case_tolerance = {};
};

inline void PrintTo(const BackendUnderTest& backend, std::ostream* out) {
  *out << backend.name;
}
inline std::string backend_name(const testing::TestParamInfo<BackendUnderTest>& info) {
  return info.param.name;
}

}  // namespace lattice
