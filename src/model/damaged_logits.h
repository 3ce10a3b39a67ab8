#pragma once

#include <cstdint>

namespace lattice {

/// Says that a logit is +∞ or no number, and what that means.
[[noreturn]] void fail_damaged_logit(std::int64_t token, float logit);
/// Says that the logits leave no token to draw.
[[noreturn]] void fail_no_token();

}  // namespace lattice
