#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

#include "support/fail.h"

namespace lattice::bench {

/// FNV-1a, 64 bits wide, over logits as words of 32: equal for equal results, so that two programs that
/// should compute the same are seen to. One flipped bit changes it.
class LogitsHash {
 public:
  /// Throws Error where a logit is no finite number: such a run measures nothing.
  void add(std::span<const float> logits) {
    for (const float logit : logits) {
      if (!std::isfinite(logit))
        fail("the model computes logits that are no numbers; its speed says nothing");
      value_ = (value_ ^ std::bit_cast<std::uint32_t>(logit)) * 0x100000001b3u;
    }
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace lattice::bench
