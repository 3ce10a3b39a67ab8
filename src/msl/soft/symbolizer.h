#pragma once

#include <filesystem>
#include <string>

namespace lattice::msl {

/// Finds the source line of an address in a loaded kernel file by the debugger's line table, which addr2line
/// (of binutils) reads.
class Symbolizer {
 public:
  explicit Symbolizer(std::filesystem::path object) : object_(std::move(object)) {}

  /// "file.metal:12", the innermost line that is not the standard library's; empty where there is no telling.
  [[nodiscard]] std::string place(const void* code) const;

 private:
  std::filesystem::path object_;
};

}  // namespace lattice::msl
