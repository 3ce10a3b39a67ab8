#pragma once

#include <span>
#include <string_view>

namespace lattice::msl {

struct StdlibFile {
  std::string_view name;  ///< relative to src/msl/stdlib, as #include names it
  std::string_view text;
};

/// The files under src/msl/stdlib, which compiled kernels include: part of the program, so that it needs no
/// files beside it.
[[nodiscard]] std::span<const StdlibFile> stdlib_files() noexcept;

}  // namespace lattice::msl
