#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lattice::cli {

enum class Stream : std::uint8_t { kOut, kError };

/// Whether a person watches `stream`: a terminal that can move its cursor (TERM is not "dumb").
[[nodiscard]] bool is_terminal(Stream stream) noexcept;

/// Columns of the terminal behind `stream`; 80 where it does not say.
[[nodiscard]] int terminal_columns(Stream stream) noexcept;

/// `text` in a faint or a bold face, where `stream` is a terminal and NO_COLOR (no-color.org) is not set;
/// otherwise `text` as it is.
[[nodiscard]] std::string dim(Stream stream, std::string_view text);
[[nodiscard]] std::string bold(Stream stream, std::string_view text);

/// `text` without what a terminal would obey: control characters other than newline and tab, and bytes that
/// are not UTF-8, become U+FFFD. A model may write anything, escape sequences included.
[[nodiscard]] std::string without_controls(std::string_view text);

/// Columns that `text` takes on a terminal: none for combining marks, two for most of CJK.
[[nodiscard]] std::size_t display_width(std::string_view text);

}  // namespace lattice::cli
