#include "convert/chat_template_source.h"

#include <system_error>

#include "formats/json_file.h"
#include "support/fail.h"
#include "support/mapped_file.h"

namespace lattice {
namespace {

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// The template itself, where a tokenizer_config.json has a list of named ones.
const nlohmann::json& default_template(const nlohmann::json& entry) {
  if (!entry.is_array()) return entry;
  for (const nlohmann::json& named : entry) {
    if (named.is_object() && named.value("name", nlohmann::json()) == "default" &&
        named.contains("template")) {
      return named["template"];
    }
  }
  return entry;
}

}  // namespace

std::optional<std::string> chat_template_source(const std::filesystem::path& directory) {
  if (const auto path = directory / "chat_template.jinja"; is_there(path)) {
    const MappedFile file(path);
    return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  }
  const auto path = directory / "tokenizer_config.json";
  if (!is_there(path)) return std::nullopt;
  const nlohmann::json config = load_json_file(path);
  if (!config.is_object()) fail("{}: not a JSON object", path.string());
  const auto entry = config.find("chat_template");
  if (entry == config.end() || entry->is_null()) return std::nullopt;
  const nlohmann::json& jinja = default_template(*entry);
  if (!jinja.is_string()) {
    fail("{}: chat_template is neither a string nor a list with one named \"default\"", path.string());
  }
  return jinja.get<std::string>();
}

}  // namespace lattice
