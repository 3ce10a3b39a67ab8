#include "text/tokenizer_data.h"

#include <system_error>

#include "formats/gguf_metadata.h"
#include "support/fail.h"

namespace lattice {

std::string_view pattern_of(PreTokenizerKind kind) noexcept {
  switch (kind) {
    case PreTokenizerKind::kQwen2:
      return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    case PreTokenizerKind::kQwen35:
      return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  }
  return {};
}

std::string_view gguf_name_of(PreTokenizerKind kind) noexcept {
  return kind == PreTokenizerKind::kQwen2 ? "qwen2" : "qwen35";
}

TokenizerData TokenizerData::from(const Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) return from_gguf(checkpoint);
  const std::filesystem::path path = checkpoint.path() / "tokenizer.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    fail("{}: the model has no tokenizer.json, so it can be given token ids and no text",
         checkpoint.path().string());
  }
  return from_json(path);
}

}  // namespace lattice
