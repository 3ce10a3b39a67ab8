#pragma once

#include <cstdint>
#include <string_view>

namespace lattice {

/// Of logits that are no numbers, to go into a sentence.
inline constexpr std::string_view kCausesOfDamage =
    "its weights, or the way they were converted, are damaged, or a key or a value is too large for f16, and "
    "--kv f32 keeps it";

/// Says that a logit is +∞ or no number, and what that means.
[[noreturn]] void fail_damaged_logit(std::int64_t token, float logit);
/// Says that the logits leave no token to draw.
[[noreturn]] void fail_no_token();

}  // namespace lattice
