#include <string>
#include <utility>
#include <vector>

#include "formats/gguf_metadata.h"
#include "support/fail.h"
#include "support/printable.h"
#include "text/tokenizer_data.h"
#include "text/vocabulary_builder.h"

namespace lattice {
namespace {

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kPre = "tokenizer.ggml.pre";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";

PreTokenizerKind read_pre_tokenizer(const GgufMetadata& metadata, const std::string& file) {
  const std::string_view name = metadata.get_string(kPre);
  for (const auto kind : {PreTokenizerKind::kQwen35, PreTokenizerKind::kQwen2}) {
    if (name == gguf_name_of(kind)) return kind;
  }
  fail("{}: {} is {}; Lattice knows qwen35 and qwen2", file, kPre, printable(name));
}

std::vector<TokenType> read_types(const GgufMetadata& metadata, const std::string& file, std::size_t tokens) {
  const GgufMetadata::IntArray* numbers = metadata.find_ints(kTypes);
  if (numbers == nullptr) fail("{}: metadata key {} is missing", file, kTypes);
  if (numbers->size() != tokens) {
    fail("{}: {} has {} entries, but {} has {}", file, kTypes, numbers->size(), kTokens, tokens);
  }
  std::vector<TokenType> types;
  types.reserve(tokens);
  for (const std::int64_t number : *numbers) {
    if (number != 1 && (number < 3 || number > 5)) {
      fail("{}: {}[{}] is {}, not 1, 3, 4 or 5 (normal, control, user-defined, unused)", file, kTypes,
           types.size(), number);
    }
    types.push_back(static_cast<TokenType>(number));
  }
  return types;
}

std::optional<std::int32_t> read_id(const GgufMetadata& metadata, const std::string& file, const char* key,
                                    std::size_t tokens) {
  const auto id = metadata.find_int(key);
  if (!id) return std::nullopt;
  if (*id < 0 || std::cmp_greater_equal(*id, tokens)) {
    fail("{}: {} is {}, outside the {} tokens", file, key, *id, tokens);
  }
  return static_cast<std::int32_t>(*id);
}

void check_flags(const GgufMetadata& metadata, const std::string& file) {
  const std::string_view model = metadata.get_string(kModel);
  if (model != "gpt2")
    fail("{}: {} is {}; Lattice reads gpt2 (byte-level BPE)", file, kModel, printable(model));
  for (const char* key : {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"}) {
    if (metadata.find_bool(key).value_or(false)) {
      fail("{}: {} is true; Lattice adds no tokens to a text, as no Qwen model wants any", file, key);
    }
  }
}

}  // namespace

TokenizerData TokenizerData::from_gguf(const Checkpoint& checkpoint) {
  const std::string file = checkpoint.path().string();
  if (checkpoint.gguf() == nullptr) fail("{}: not a GGUF file, so it has no {}", file, kTokens);
  const GgufMetadata& metadata = *checkpoint.gguf();
  check_flags(metadata, file);

  const GgufMetadata::StringArray& tokens = metadata.get_strings(kTokens);
  if (tokens.size() > kMaxTokens) {
    fail("{}: {} has {} entries, more than the {} that are allowed", file, kTokens, tokens.size(),
         kMaxTokens);
  }
  VocabularyBuilder builder(file, kTokens, kMerges);
  TokenizerData& data = builder.data();
  data.pre_tokenizer = read_pre_tokenizer(metadata, file);
  data.normalizer = NormalizerKind::kNfc;  // GGUF has no key for it; both pre-tokenizers come with NFC
  builder.set_tokens({tokens.begin(), tokens.end()}, read_types(metadata, file, tokens.size()));
  for (std::size_t i = 0; i < data.types.size(); ++i) {
    const TokenType type = data.types[i];
    if (type != TokenType::kControl && type != TokenType::kUserDefined) continue;
    data.added_tokens.push_back({static_cast<std::int32_t>(i), type == TokenType::kControl, false});
  }

  const GgufMetadata::StringArray& merges = metadata.get_strings(kMerges);
  data.merges.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) builder.add_merge(i, merges[i]);
  data.bos_id = read_id(metadata, file, "tokenizer.ggml.bos_token_id", tokens.size());
  data.eos_id = read_id(metadata, file, "tokenizer.ggml.eos_token_id", tokens.size());
  data.pad_id = read_id(metadata, file, "tokenizer.ggml.padding_token_id", tokens.size());
  return builder.take();
}

}  // namespace lattice
