// Which template a checkpoint has, and whether we know it.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "formats/gguf_metadata.h"
#include "formats/json_file.h"
#include "support/fail.h"
#include "support/fnv.h"
#include "support/mapped_file.h"
#include "text/chat_template.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kTemplateFile = "chat_template.jinja";
constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kTemplateKey = "chat_template";
constexpr const char* kGgufKey = "tokenizer.chat_template";

// The longest templates in use have some 40 kB.
constexpr std::size_t kMaxTemplateBytes = std::size_t{1} << 20;

/// A place where templates of the family differ: the lines of Qwen3.5-4B's, and those that stand there
/// instead.
struct Variation {
  std::string_view base;
  std::string_view other;
};

constexpr Variation kThinksOnlyWhenAsked{
    // Qwen3.5's 0.8B and 2B
    "{%- if enable_thinking is defined and enable_thinking is false %}\n"
    "{{- '<think>\\n\\n</think>\\n\\n' }}\n{%- else %}\n{{- '<think>\\n' }}\n{%- endif %}",
    "{%- if enable_thinking is defined and enable_thinking is true %}\n"
    "{{- '<think>\\n' }}\n{%- else %}\n{{- '<think>\\n\\n</think>\\n\\n' }}\n{%- endif %}"};
constexpr Variation kJsonArguments{
    // Qwen3.6
    "{%- set args_value = args_value | tojson | safe if args_value is mapping or (args_value is sequence and "
    "args_value is not string) else args_value | string %}",
    "{%- set args_value = args_value | string if args_value is string else args_value | tojson | safe %}"};
// Qwen3.6. No caller sets preserve_thinking, so that it renders the same.
constexpr Variation kPreserveThinking{"{%- if loop.index0 > ns.last_query_index %}",
                                      "{%- if (preserve_thinking is defined and preserve_thinking is true) "
                                      "or (loop.index0 > ns.last_query_index) %}"};

/// Of Qwen3.5-4B's template, normalised. Every other known template is this one with variations.
constexpr std::uint64_t kBaseDigest = 0x1de4b8c98cb44da0;

/// Without indentation, trailing blanks, carriage returns and empty lines. None of these shows in what the
/// templates render, since all of their tags strip the white space before them.
std::string normalised(std::string_view jinja) {
  constexpr std::string_view kBlank = " \t\r";
  std::string out;
  while (!jinja.empty()) {
    const std::size_t end = std::min(jinja.find('\n'), jinja.size());
    std::string_view line = jinja.substr(0, end);
    jinja.remove_prefix(std::min(end + 1, jinja.size()));
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    line = line.substr(0, line.find_last_not_of(kBlank) + 1);
    if (line.empty()) continue;
    if (!out.empty()) out += '\n';
    out += line;
  }
  return out;
}

/// Turns the variation back into the base's lines. Returns whether it was there.
bool undo(const Variation& variation, std::string& jinja) {
  const std::size_t at = jinja.find(variation.other);
  if (at == std::string::npos) return false;
  jinja.replace(at, variation.other.size(), variation.base);
  return true;
}

std::optional<ChatTemplateSource> checked(std::string_view jinja, std::string origin) {
  if (jinja.size() > kMaxTemplateBytes) {
    fail("{}: {} bytes are more than a chat template may have, which is {}", origin, jinja.size(),
         kMaxTemplateBytes);
  }
  if (jinja.empty()) return std::nullopt;
  return ChatTemplateSource{std::string(jinja), std::move(origin)};
}

/// The template in a list of named ones that is used where nothing else is asked for.
const Json* default_of(const Json& list, const std::string& origin) {
  for (const Json& entry : list) {
    const bool is_named = entry.is_object() && entry.contains("name") && entry.contains("template");
    if (!is_named) fail("{}: not a list of objects with name and template", origin);
    if (entry["name"] == "default") return &entry["template"];
  }
  fail("{}: a list of templates without one named \"default\"", origin);
}

std::optional<ChatTemplateSource> from_tokenizer_config(const fs::path& path) {
  const std::string origin = path.string() + ": " + kTemplateKey;
  const Json config = load_json_file(path);
  if (!config.is_object()) fail("{}: not a JSON object", path.string());
  const auto entry = config.find(kTemplateKey);
  if (entry == config.end() || entry->is_null()) return std::nullopt;
  const Json* jinja = entry->is_array() ? default_of(*entry, origin) : &*entry;
  if (!jinja->is_string()) fail("{}: not a string", origin);
  return checked(jinja->get_ref<const std::string&>(), origin);
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

std::optional<ChatTemplateSource> find_chat_template(const Checkpoint& checkpoint) {
  if (const GgufMetadata* gguf = checkpoint.gguf()) {
    return checked(gguf->find_string(kGgufKey).value_or(""), checkpoint.path().string() + ": " + kGgufKey);
  }
  // As in transformers, the file goes before the entry.
  if (const fs::path path = checkpoint.path() / kTemplateFile; is_there(path)) {
    const MappedFile file(path);
    return checked({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()}, path.string());
  }
  if (const fs::path path = checkpoint.path() / kTokenizerConfig; is_there(path)) {
    return from_tokenizer_config(path);
  }
  return std::nullopt;
}

ChatTemplate ChatTemplate::recognise(std::string_view jinja, const std::string& origin) {
  std::string base = normalised(jinja);
  ChatDialect dialect;
  dialect.thinks_by_default = !undo(kThinksOnlyWhenAsked, base);
  dialect.json_arguments = undo(kJsonArguments, base);
  undo(kPreserveThinking, base);
  // A template forged to match would merely not be warned about.
  if (fnv1a(base) == kBaseDigest) return ChatTemplate(dialect);
  return ChatTemplate(
      dialect,
      fmt::format("{}: not a chat template that is known, so Qwen3.5's is used in its place", origin));
}

std::optional<ChatTemplate> ChatTemplate::from(const Checkpoint& checkpoint) {
  const std::optional<ChatTemplateSource> source = find_chat_template(checkpoint);
  if (!source) return std::nullopt;
  return recognise(source->jinja, source->origin);
}

}  // namespace lattice
