#pragma once

#include <cstdint>

#include "msl/source_set.h"
#include "msl/token.h"

namespace lattice::msl {

/// Splits a file of the set into tokens; comments and white space leave only `space_before` and
/// `first_on_line`. Throws Error for a comment, string or character that does not end, and for characters
/// that MSL does not know.
[[nodiscard]] Tokens tokenize(const SourceSet& sources, std::uint16_t file);

/// Tokenises a text that a macro pasted together, as if it stood where `place` stands.
[[nodiscard]] Tokens tokenize_pasted(const SourceSet& sources, std::string_view text, const Token& place);

}  // namespace lattice::msl
