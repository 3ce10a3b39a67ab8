#pragma once

#include <cstdint>

#include "msl/source_set.h"
#include "msl/token.h"

namespace lattice::msl {

/// The value of an #if's expression, whose macros are expanded and whose `defined` are replaced by 0 or 1.
/// Identifiers count as 0, as C has it. Throws Error at `place` where it is not an expression.
[[nodiscard]] std::int64_t evaluate_condition(const SourceSet& sources, const Tokens& expression,
                                              const Token& place);

}  // namespace lattice::msl
