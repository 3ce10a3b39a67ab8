#include "convert/gguf_tokenizer.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/fail.h"
#include "text/chat_template.h"
#include "text/tokenizer_data.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

std::vector<std::string_view> views_of(std::span<const std::string> texts) {
  return {texts.begin(), texts.end()};
}

/// Appends a token for every row of the embedding that has none. llama.cpp wants as many tokens as rows, and
/// its converter calls those that stand for none [PAD<id>].
void pad_tokens(std::int64_t vocab_size, TokenizerData& data) {
  constexpr std::string_view kPrefix = "[PAD";
  std::unordered_set<std::string_view> taken;
  for (const std::string& token : data.tokens) {
    if (token.starts_with(kPrefix)) taken.insert(token);
  }
  std::vector<std::string> padding;
  for (std::int64_t id = std::ssize(data.tokens); id < vocab_size; ++id) {
    std::string token = fmt::format("{}{}]", kPrefix, id);
    while (taken.contains(token)) token += ']';
    padding.push_back(std::move(token));
  }
  data.tokens.insert(data.tokens.end(), padding.begin(), padding.end());
  data.types.resize(data.tokens.size(), TokenType::kUnused);
}

void add_vocabulary(GgufWriter& writer, const TokenizerData& data) {
  writer.add("tokenizer.ggml.model", "gpt2");  // byte-level BPE
  writer.add("tokenizer.ggml.pre", gguf_name_of(data.pre_tokenizer));
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string_view>(views_of(data.tokens)));
  std::vector<std::int32_t> types;
  types.reserve(data.types.size());
  for (const TokenType type : data.types) types.push_back(static_cast<std::int32_t>(type));
  writer.add_array<std::int32_t>("tokenizer.ggml.token_type", types);
  std::vector<std::string> merges;
  merges.reserve(data.merges.size());
  for (const TokenizerData::Merge& merge : data.merges) {
    merges.push_back(data.tokens[static_cast<std::size_t>(merge.left)] + " " +
                     data.tokens[static_cast<std::size_t>(merge.right)]);
  }
  writer.add_array("tokenizer.ggml.merges", std::span<const std::string_view>(views_of(merges)));
}

void warn_of_differences(const TokenizerData& data, std::vector<std::string>& warnings) {
  if (data.normalizer == NormalizerKind::kNone) {
    warnings.emplace_back(
        "tokenizer.json has no normalizer, which GGUF cannot say: text that is not in Unicode's normal form "
        "C "
        "can give other tokens");
  }
  if (std::ranges::any_of(data.added_tokens, &TokenizerData::AddedToken::normalized)) {
    warnings.emplace_back(
        "tokenizer.json has added tokens that are looked for in normalised text, which GGUF cannot say");
  }
}

/// The first pad_token_id of the generation config and the config, where it is a token.
std::optional<std::int32_t> configured_pad_id(const Checkpoint& checkpoint, const Config& config) {
  for (const nlohmann::json* json : {checkpoint.generation_config_json(), checkpoint.config_json()}) {
    if (json == nullptr) continue;
    for (const char* const pointer : {"/pad_token_id", "/text_config/pad_token_id"}) {
      const nlohmann::json::json_pointer at(pointer);
      if (!json->contains(at) || !(*json)[at].is_number_unsigned()) continue;
      const auto id = (*json)[at].get<std::uint64_t>();
      if (std::cmp_less(id, config.vocab_size)) return static_cast<std::int32_t>(id);
    }
  }
  return std::nullopt;
}

/// GGUF has two places for tokens that end a generation: the end of a text and the end of a turn. The
/// tokenizer's own stands in the first, if the model stops there.
void add_end_tokens(GgufWriter& writer, const Config& config, std::optional<std::int32_t> tokenizer_eos,
                    std::vector<std::string>& warnings) {
  std::vector<std::int32_t> ends = config.eos_token_ids;
  if (ends.empty() && tokenizer_eos) ends.push_back(*tokenizer_eos);
  std::stable_partition(ends.begin(), ends.end(), [&](std::int32_t id) { return id == tokenizer_eos; });
  constexpr const char* kKeys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (i < std::size(kKeys)) {
      writer.add(kKeys[i], static_cast<std::uint32_t>(ends[i]));
    } else {
      warnings.push_back(
          fmt::format("token {} ends a text too, but GGUF has room for two such tokens", ends[i]));
    }
  }
}

}  // namespace

void add_tokenizer(GgufWriter& writer, const Checkpoint& checkpoint, const Config& config,
                   std::vector<std::string>& warnings) {
  const fs::path path = checkpoint.path() / "tokenizer.json";
  std::error_code ignored;
  TokenizerData data;
  if (fs::exists(path, ignored)) {
    data = TokenizerData::from_json(path);
    if (std::cmp_greater(data.tokens.size(), config.vocab_size)) {
      fail("{}: it has {} tokens, more than the model's vocab_size {}", path.string(), data.tokens.size(),
           config.vocab_size);
    }
    warn_of_differences(data, warnings);
    pad_tokens(config.vocab_size, data);
    add_vocabulary(writer, data);
  } else {
    writer.add("tokenizer.ggml.model", "none");
    warnings.push_back(fmt::format("{}: the model has no tokenizer.json, so the result takes token ids alone",
                                   checkpoint.path().string()));
  }
  add_end_tokens(writer, config, data.eos_id, warnings);
  const std::optional<std::int32_t> pad = data.pad_id ? data.pad_id : configured_pad_id(checkpoint, config);
  if (pad) writer.add("tokenizer.ggml.padding_token_id", static_cast<std::uint32_t>(*pad));
  if (data.bos_id) writer.add("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(*data.bos_id));
  writer.add("tokenizer.ggml.add_bos_token", false);
  if (const auto source = find_chat_template(checkpoint)) {
    writer.add("tokenizer.chat_template", source->jinja);
  }
}

}  // namespace lattice
