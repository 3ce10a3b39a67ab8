#include "cli/help_formatter.h"

#include <string_view>

namespace lattice::cli {
namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kNameColumns = 28;  // of names, indentation included
constexpr std::size_t kColumns = 96;

/// `name` and, beside it, `text` in lines of words.
std::string entry(const std::string& name, std::string_view text) {
  std::string out = std::string(kIndent, ' ') + name;
  std::size_t column = out.size();
  if (column + kIndent > kNameColumns) {
    out += '\n';
    column = 0;
  }
  out.append(kNameColumns - column, ' ');
  column = kNameColumns;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (column + word.size() > kColumns) {
      out.back() = '\n';  // the blank after the last word
      out.append(kNameColumns, ' ');
      column = kNameColumns;
    }
    out += word;
    out += ' ';
    column += word.size() + 1;
    text.remove_prefix(word.size() == text.size() ? word.size() : word.size() + 1);
  }
  out.back() = '\n';
  return out;
}

}  // namespace

HelpFormatter::HelpFormatter() {
  label("Positionals", "Arguments");
  label("SUBCOMMAND", "COMMAND");
}

std::string HelpFormatter::make_description(const CLI::App* app) const {
  return app->get_description() + "\n\n";
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  const std::string type = is_positional ? "" : make_option_opts(option);
  std::string name = make_option_name(option, is_positional);
  if (const std::size_t comma = name.find(','); comma != std::string::npos) name.insert(comma + 1, 1, ' ');
  return entry(name + type, make_option_desc(option));
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  const bool takes_value = option->get_type_size() != 0 && !option->get_type_name().empty();
  return takes_value ? " " + option->get_type_name() : "";
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return entry(command->get_name(), command->get_description());
}

}  // namespace lattice::cli
