#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "msl/module.h"
#include "msl/preprocessor.h"

namespace lattice::msl {

/// Reads a .metal file and finds its structure. Throws Error with file, line and reason for what is not well
/// formed and for what cannot be translated (textures, argument buffers, vertex and fragment functions, …).
[[nodiscard]] Module parse_file(const std::filesystem::path& path, const PreprocessorOptions& options = {});

/// The same from memory; `name` is what messages call it.
[[nodiscard]] Module parse_text(std::string name, std::string_view text,
                                const PreprocessorOptions& options = {});

}  // namespace lattice::msl
