#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace lattice {

/// What a token is, by GGUF's numbers (tokenizer.ggml.token_type). The other two of GGUF's types (2, unknown;
/// 6, byte) belong to SentencePiece.
enum class TokenType : std::int32_t {
  kNormal = 1,       ///< of the base vocabulary
  kControl = 3,      ///< added and special: left out of decoded text
  kUserDefined = 4,  ///< added, but text like any other
  kUnused = 5,       ///< a placeholder: matches nothing
};

/// How text is cut into words before the merges. Both patterns are read from the tokenizer.json that Qwen
/// releases (pre_tokenizer.pretokenizers[0].pattern.Regex); GGUF has names for them (tokenizer.ggml.pre).
enum class PreTokenizerKind {
  kQwen2,   ///< Qwen2, Qwen2.5, Qwen3
  kQwen35,  ///< Qwen3.5: marks (\p{M}) go with letters
};
/// The regular expression, as tokenizer.json has it.
[[nodiscard]] std::string_view pattern_of(PreTokenizerKind kind) noexcept;
/// The name that GGUF has for it.
[[nodiscard]] std::string_view gguf_name_of(PreTokenizerKind kind) noexcept;

enum class NormalizerKind { kNone, kNfc };

/// Everything that a tokenizer file says, checked: what is in here can be used without another look.
/// Byte-level BPE is the only model there is.
struct TokenizerData {
  /// `left` followed by `right` becomes `result`, which is spelled as the two together.
  struct Merge {
    std::int32_t left;
    std::int32_t right;
    std::int32_t result;
  };
  /// A token that is looked for in the text as it stands; tokens[id] is its text.
  struct AddedToken {
    std::int32_t id;
    bool special;     ///< left out of decoded text
    bool normalized;  ///< looked for in the normalised text, and not before normalisation
  };

  std::vector<std::string> tokens;  ///< by id; all different; words in the byte alphabet (text/byte_level.h)
  std::vector<TokenType> types;     ///< by id
  std::vector<Merge> merges;        ///< the first has the highest priority; no pair twice
  std::vector<AddedToken> added_tokens;  ///< by id
  PreTokenizerKind pre_tokenizer = PreTokenizerKind::kQwen35;
  NormalizerKind normalizer = NormalizerKind::kNfc;
  std::optional<std::int32_t> bos_id;  ///< named by the file; never put before a text by these models
  std::optional<std::int32_t> eos_id;
  std::optional<std::int32_t> pad_id;

  /// Reads Hugging Face's tokenizer.json, and tokenizer_config.json for the special ids where that stands
  /// beside it. Throws Error naming file and field for what does not hold together and for what cannot be
  /// honoured (another model, normaliser, pattern or decoder).
  [[nodiscard]] static TokenizerData from_json(const std::filesystem::path& path);

  /// Reads tokenizer.ggml.* of GGUF metadata, as strictly.
  [[nodiscard]] static TokenizerData from_gguf(const Checkpoint& checkpoint);

  /// Whichever of the two the checkpoint has.
  [[nodiscard]] static TokenizerData from(const Checkpoint& checkpoint);
};

}  // namespace lattice
