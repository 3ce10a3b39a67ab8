#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "lattice/model.hpp"

// What comes from the command line, checked. Everything here throws Error(kUsage) with a sentence that names
// the flag, except for what stands in a file: that is Error(kInput).

namespace lattice::cli {

/// `text` as a whole number from `low` to `high`; `flag` is for the message.
[[nodiscard]] std::int64_t parse_integer(std::string_view flag, std::string_view text, std::int64_t low,
                                         std::int64_t high);
/// `text` as any number that std::uint64_t holds.
[[nodiscard]] std::uint64_t parse_seed(std::string_view flag, std::string_view text);
/// `text` as a finite number.
[[nodiscard]] float parse_number(std::string_view flag, std::string_view text);

/// Adds a flag or, where `names` has no dash, a positional argument, which takes any text, the empty one
/// included (CLI11 itself takes that for none).
template <typename Target>
CLI::Option* add_text(CLI::App& command, const std::string& names, Target& target, const std::string& type,
                      const std::string& help) {
  return command
      .add_option_function<std::string>(
          names, [&target](const std::string& text) { target = text; }, help)
      ->type_name(type);
}

/// Adds a flag which takes a whole number from `low` to `high`. `T` holds them.
template <typename T, typename Target>
CLI::Option* add_integer(CLI::App& command, const std::string& name, Target& target, T low, T high,
                         const std::string& help) {
  return command
      .add_option_function<std::string>(
          name,
          [name, &target, low, high](const std::string& text) {
            target = static_cast<T>(parse_integer(name, text, low, high));
          },
          help)
      ->type_name("N");
}

/// Adds a flag which takes a finite number.
CLI::Option* add_number(CLI::App& command, const std::string& name, std::optional<float>& target,
                        const std::string& help);

/// Ids that a command takes in place of text: --tokens 1,2,3 or --tokens-file FILE.
struct TokenArguments {
  std::optional<std::string> list;
  std::optional<std::filesystem::path> file;

  void add_to(CLI::App& command);
  [[nodiscard]] bool given() const noexcept { return list.has_value() || file.has_value(); }
  /// The ids. At least one, none of them negative.
  [[nodiscard]] std::vector<Token> read() const;
};

/// "1,2,3" → ids. Blanks may stand beside the commas.
[[nodiscard]] std::vector<Token> parse_token_list(std::string_view flag, std::string_view text);
/// A JSON array of ids, or an object with such an array called "tokens", which is what `lattice tokenize
/// --json` and `lattice run --json` print.
[[nodiscard]] std::vector<Token> read_token_file(const std::filesystem::path& path);

/// The whole of a text file.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path);
/// Standard input up to its end, less one newline there: `echo` adds it, and nobody means it.
[[nodiscard]] std::string read_standard_input();

/// The positional arguments [MODEL] [TEXT] of a command, each of which may be left out. One alone is the
/// model where it is a directory that exists or ends in ".gguf", and the text otherwise.
struct ModelAndText {
  std::optional<std::filesystem::path> model;
  std::optional<std::string> text;

  /// `text_name` and `text_help` are for the command's help.
  void add_to(CLI::App& command, const std::string& text_name, const std::string& text_help);
  /// To be called once, after parsing: decides what a single argument is.
  void settle();
  /// The text, or standard input where there is none or it is "-". Throws where that is a terminal at which
  /// nobody was told to write ("-" says so); `example` shows what to give.
  [[nodiscard]] std::string read_text(std::string_view example) const;
};

}  // namespace lattice::cli
