#include "convert/gguf_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "formats/json_file.h"

namespace lattice {
namespace {

using nlohmann::json;

std::optional<json> load_if_there(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  return load_json_file(path);
}

/// The spelling of a token of tokenizer_config.json: a string, or an object that holds it.
std::optional<std::string> token_text(const json& config, const char* name) {
  const auto it = config.find(name);
  if (it == config.end()) return std::nullopt;
  const json& text = it->is_object() && it->contains("content") ? (*it)["content"] : *it;
  return text.is_string() ? std::optional(text.get<std::string>()) : std::nullopt;
}

}  // namespace

void add_tokenizer(GgufWriter& writer, const Checkpoint& checkpoint, const Config& config,
                   std::vector<std::string>& warnings) {
  writer.add("tokenizer.ggml.model", "none");
  (void)checkpoint;
  (void)warnings;
  (void)token_text;
  (void)load_if_there;
  if (!config.eos_token_ids.empty())
    writer.add("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(config.eos_token_ids[0]));
  if (config.eos_token_ids.size() > 1)
    writer.add("tokenizer.ggml.eot_token_id", static_cast<std::uint32_t>(config.eos_token_ids[1]));
}

}  // namespace lattice
