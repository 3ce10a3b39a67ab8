#pragma once

#include <filesystem>
#include <string>

namespace lattice::gpu::metal {

/// A .metal file as MTLDevice's newLibraryWithSource takes it, which knows no include path: each header of
/// the file's own folder stands where it is first included. #line keeps the compiler's messages at file and
/// line. Everything else, Metal's own headers and conditionals among it, is left to Apple's preprocessor.
/// Throws Error where a file cannot be read.
[[nodiscard]] std::string inlined_source(const std::filesystem::path& file);

}  // namespace lattice::gpu::metal
