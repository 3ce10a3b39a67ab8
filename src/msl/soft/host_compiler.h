#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "msl/module.h"

namespace lattice::msl {

struct CompileOptions {
  bool checked = false;                   ///< for checking mode: every memory access is reported
  std::string compiler;                   ///< empty: $CXX, or the compiler that built this program
  std::filesystem::path cache_directory;  ///< empty: default_cache_directory()
};

/// cache_folder("msl"), or where there is none a folder for the user among the temporary files.
[[nodiscard]] std::filesystem::path default_cache_directory();

/// The host compiler's options for what emit_soft() writes, apart from the include path.
[[nodiscard]] std::vector<std::string> soft_compile_options(bool checked, bool clang);

/// Compiles a module for the soft device into a shared object and returns its path. A module that was
/// compiled before comes from the cache. Throws Error with the compiler's messages, which name lines of the
/// .metal file, where it does not compile, and where there is no compiler.
[[nodiscard]] std::filesystem::path compile_soft(const Module& module, const CompileOptions& options);

}  // namespace lattice::msl
