#include "cli/arguments.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <system_error>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "formats/json_file.h"
#include "support/fail.h"
#include "support/mapped_file.h"
#include "support/printable.h"

namespace lattice::cli {
namespace {

constexpr Token kLargestId = std::numeric_limits<Token>::max();
// More than any context holds. A pipe that never ends (/dev/zero) must not fill the memory.
constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;
// A token costs the parser about 20 bytes: this many take some 300 MB.
constexpr std::size_t kMaxTokensInFile = std::size_t{16} << 20;

template <typename T>
std::optional<T> whole_number(std::string_view text) noexcept {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

void require_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail_usage("there is no file {}", printable(path.string()));
  if (std::filesystem::is_directory(status))
    fail_usage("{} is a directory, and a file is needed", printable(path.string()));
}

}  // namespace

std::int64_t parse_integer(std::string_view flag, std::string_view text, std::int64_t low,
                           std::int64_t high) {
  const std::optional<std::int64_t> value = whole_number<std::int64_t>(text);
  if (!value || *value < low || *value > high)
    fail_usage("{} takes a whole number from {} to {}, and {} is none", flag, low, high, printable(text));
  return *value;
}

std::uint64_t parse_seed(std::string_view flag, std::string_view text) {
  const std::optional<std::uint64_t> value = whole_number<std::uint64_t>(text);
  if (!value) {
    fail_usage("{} takes a whole number from 0 to {}, and {} is none", flag,
               std::numeric_limits<std::uint64_t>::max(), printable(text));
  }
  return *value;
}

float parse_number(std::string_view flag, std::string_view text) {
  const std::string terminated(text);
  char* end = nullptr;
  const float value = std::strtof(terminated.c_str(), &end);
  // strtof takes more than we do: "nan", "inf", hexadecimal and blanks before the number.
  const bool plain = !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  if (!plain || end != terminated.c_str() + terminated.size() || !std::isfinite(value))
    fail_usage("{} takes a number, and {} is none that can be used", flag, printable(text));
  return value;
}

CLI::Option* add_number(CLI::App& command, const std::string& name, std::optional<float>& target,
                        const std::string& help) {
  return command
      .add_option_function<std::string>(
          name, [name, &target](const std::string& text) { target = parse_number(name, text); }, help)
      ->type_name("X");
}

void TokenArguments::add_to(CLI::App& command) {
  CLI::Option* list_option = add_text(command, "--tokens", list, "IDS", "Token ids in place of text: 1,2,3");
  add_text(command, "--tokens-file", file, "FILE", "The same from a file that holds a JSON array of ids")
      ->excludes(list_option);
}

std::vector<Token> TokenArguments::read() const {
  return list ? parse_token_list("--tokens", *list) : read_token_file(file.value());
}

std::vector<Token> parse_token_list(std::string_view flag, std::string_view text) {
  std::vector<Token> tokens;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view entry = trimmed(text.substr(0, comma));
    const std::optional<Token> id = whole_number<Token>(entry);
    if (!id || *id < 0)
      fail_usage("{} takes token ids with commas between them (1,2,3), and {} is no id", flag,
                 printable(entry));
    tokens.push_back(*id);
    if (comma == std::string_view::npos) return tokens;
    text.remove_prefix(comma + 1);
  }
}

std::vector<Token> read_token_file(const std::filesystem::path& path) {
  require_file(path);
  JsonLimits limits;
  limits.max_values = kMaxTokensInFile;
  const nlohmann::json json = load_json_file(path, limits);
  const std::string name = printable(path.string());
  const nlohmann::json* ids = &json;
  if (json.is_object() && json.contains("tokens")) ids = &json["tokens"];
  if (!ids->is_array() || ids->empty()) fail("{} holds no JSON array of token ids", name);
  std::vector<Token> tokens;
  tokens.reserve(ids->size());
  for (const nlohmann::json& id : *ids) {
    const bool in_range = id.is_number_unsigned() && id.get<std::uint64_t>() <= std::uint64_t{kLargestId};
    if (!in_range) {
      const std::string text = id.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      fail("{}: entry {} of the list is no token id: {}", name, tokens.size(), printable(text, 40));
    }
    tokens.push_back(id.get<Token>());
  }
  return tokens;
}

std::string read_text_file(const std::filesystem::path& path) {
  require_file(path);
  const MappedFile file(path);
  if (file.bytes().size() > kMaxTextBytes)
    fail("{} is longer than {} bytes, which is more than any context holds", printable(path.string()),
         kMaxTextBytes);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::string read_standard_input() {
  std::string text;
  std::array<char, 1 << 16> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), stdin)) {
    text.append(buffer.data(), got);
    if (text.size() > kMaxTextBytes)
      fail("standard input is longer than {} bytes, which is more than any context holds", kMaxTextBytes);
  }
  if (std::ferror(stdin) != 0) fail("standard input cannot be read");
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

void ModelAndText::add_to(CLI::App& command, const std::string& text_name, const std::string& text_help) {
  add_text(command, "MODEL", model, "",
           "A model's directory or .gguf file; without it, the model that comes with Lattice");
  add_text(command, text_name, text, "", text_help);
}

void ModelAndText::settle() {
  if (!model || text) return;
  std::error_code unreadable;  // a text may be no possible path at all
  const bool is_model = model->extension() == ".gguf" || std::filesystem::is_directory(*model, unreadable);
  if (is_model) return;
  text = model->string();
  model.reset();
}

std::string ModelAndText::read_text(std::string_view example) const {
  if (text && *text != "-") return *text;
  if (!text && isatty(STDIN_FILENO) == 1)
    fail_usage("there is no text to work on: give one, as in {}, or pipe one in", example);
  return read_standard_input();
}

}  // namespace lattice::cli
