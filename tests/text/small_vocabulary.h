#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/fixtures.h"
#include "formats/gguf_writer.h"
#include "text/byte_level.h"
#include "text/tokenizer_data.h"

namespace lattice {

/// A tokenizer.json as small as one can be: ids 0 to 255 are the bytes, then come "he", "ll", "hell", "o w",
/// which is no merge's result, "hello", "<|end|>" (special) and "<think>" (not).
inline nlohmann::json small_tokenizer_json() {
  using Json = nlohmann::json;
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[std::string(spelling_of_byte(static_cast<std::uint8_t>(byte)))] = byte;
  }
  for (const char* token : {"he", "ll", "hell", "oĠw", "hello"}) vocab[token] = vocab.size();
  const auto added = [](int id, const char* content, bool special) {
    return Json{{"id", id},        {"content", content}, {"special", special}, {"single_word", false},
                {"lstrip", false}, {"rstrip", false},    {"normalized", false}};
  };
  Json merges = Json::array();  // a list of pairs would be taken for an object
  for (const auto& [left, right] : {std::pair("h", "e"), {"l", "l"}, {"he", "ll"}, {"hell", "o"}}) {
    merges.push_back(Json::array({left, right}));
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", pattern_of(PreTokenizerKind::kQwen35)}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"added_tokens", {added(261, "<|end|>", true), added(262, "<think>", false)}},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"byte_fallback", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}

/// `data` as the metadata of a GGUF file, as a converter writes them.
inline void write_gguf(const std::filesystem::path& path, const TokenizerData& data) {
  std::vector<std::string_view> tokens(data.tokens.begin(), data.tokens.end());
  std::vector<std::int32_t> types;
  for (const TokenType type : data.types) types.push_back(static_cast<std::int32_t>(type));
  std::vector<std::string> merges;
  for (const auto& merge : data.merges) {
    merges.push_back(data.tokens[static_cast<std::size_t>(merge.left)] + " " +
                     data.tokens[static_cast<std::size_t>(merge.right)]);
  }
  const std::vector<std::string_view> merge_views(merges.begin(), merges.end());
  GgufWriter writer(path);
  writer.add("general.architecture", std::string_view("qwen35"));
  writer.add("tokenizer.ggml.model", std::string_view("gpt2"));
  writer.add("tokenizer.ggml.pre", gguf_name_of(data.pre_tokenizer));
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string_view>(tokens));
  writer.add_array("tokenizer.ggml.token_type", std::span<const std::int32_t>(types));
  writer.add_array("tokenizer.ggml.merges", std::span<const std::string_view>(merge_views));
  if (data.eos_id) writer.add("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(*data.eos_id));
  writer.finish();
}

}  // namespace lattice
