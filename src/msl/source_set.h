#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "msl/token.h"
#include "support/fail.h"

namespace lattice::msl {

/// The texts that tokens point into: the files of one translation, and what macros pasted together.
class SourceSet {
 public:
  struct File {
    std::string name;  ///< as messages and #line name it
    std::string text;  ///< with line splices taken out, see add()
  };

  SourceSet() = default;
  SourceSet(const SourceSet&) = delete;
  SourceSet& operator=(const SourceSet&) = delete;

  /// Adds a text. Its line splices (a backslash before a line's end) are joined, and the newlines moved
  /// behind the joined line, so that what follows keeps its line numbers. Throws Error for a name that no
  /// message could print or a text that is too large or holds NUL.
  std::uint16_t add(std::string name, std::string_view text);

  /// Reads and adds a file. Throws Error where it cannot be read.
  std::uint16_t add_file(const std::filesystem::path& path);

  [[nodiscard]] const File& file(std::uint16_t index) const noexcept { return files_[index]; }
  [[nodiscard]] std::size_t size() const noexcept { return files_.size(); }

  /// Keeps a text for as long as the set lives.
  std::string_view keep(std::string text) { return kept_.emplace_back(std::move(text)); }

  /// "kernels.metal:12".
  [[nodiscard]] std::string place(const Token& token) const {
    return fmt::format("{}:{}", files_[token.file].name, token.line);
  }

 private:
  std::deque<File> files_;
  std::deque<std::string> kept_;
};

/// Throws Error(kInput): "kernels.metal:12: <message>".
template <typename... Args>
[[noreturn]] void fail_at(const SourceSet& sources, const Token& token, fmt::format_string<Args...> format,
                          Args&&... args) {
  fail("{}: {}", sources.place(token), fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace lattice::msl
