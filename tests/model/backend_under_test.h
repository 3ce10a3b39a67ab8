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
