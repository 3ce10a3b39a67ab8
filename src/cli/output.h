#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json_fwd.hpp>

namespace lattice::cli {

/// Thrown when whoever read our output has gone (EPIPE): there is nobody left to work for, and nothing went
/// wrong. The program ends quietly.
struct ReaderGone {};

/// Writes to standard output, buffered until flush(). Throws ReaderGone, and Error where the output cannot be
/// written (the disk is full).
void print_text(std::string_view text);
void flush_output();

/// print_out("{} tokens\n", n)
template <typename... Args>
void print_out(fmt::format_string<Args...> format, Args&&... args) {
  print_text(fmt::format(format, std::forward<Args>(args)...));
}

/// `value` on a line of its own. Bytes that are not UTF-8 become U+FFFD, numbers that are not finite null.
void print_json(const nlohmann::ordered_json& value);

/// Writes to standard error at once. Failure is ignored.
void print_error_text(std::string_view text) noexcept;

/// A line for the user beside the output proper: to standard error, after what standard output holds so far.
void print_note(std::string_view line);

}  // namespace lattice::cli
