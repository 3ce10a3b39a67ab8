#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "msl/source_set.h"
#include "msl/token.h"

namespace lattice::msl {

struct PreprocessorOptions {
  std::vector<std::filesystem::path> include_directories;  ///< for #include, behind the including file's own
  std::map<std::string, std::string> defines;              ///< as -D gives them: name → replacement text
};

/// Runs the C preprocessor's phases over a file of the set: includes, conditionals, macros with # and ##.
///
/// Metal's own headers (<metal_stdlib>, <metal_atomic>, <simd/simd.h>, …) are left out: each target brings
/// its own. Pragmas are dropped but for loop unrolling, which stays as a token. Throws Error with file and
/// line for whatever is not well formed, for #error, and for expansions beyond all reason.
[[nodiscard]] Tokens preprocess(SourceSet& sources, std::uint16_t file, const PreprocessorOptions& options);

}  // namespace lattice::msl
