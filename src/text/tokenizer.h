#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "text/tokenizer_data.h"

namespace lattice {

/// Byte-level BPE with NFC, as Qwen3 and Qwen3.5 use it. Immutable after loading and safe to share between
/// threads.
class Tokenizer {
 public:
  /// From a Hugging Face tokenizer.json. Throws Error naming the file and the field that it cannot honour.
  [[nodiscard]] static std::unique_ptr<Tokenizer> from_json_file(const std::filesystem::path& path);
  /// From GGUF metadata (tokenizer.ggml.*).
  [[nodiscard]] static std::unique_ptr<Tokenizer> from_gguf(const Checkpoint& checkpoint);
  /// Whichever of the two the checkpoint has.
  [[nodiscard]] static std::unique_ptr<Tokenizer> from(const Checkpoint& checkpoint);

  explicit Tokenizer(const TokenizerData& data);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Text → ids. `text` may be any bytes: invalid UTF-8 is taken as Hugging Face's tokenizers take it after
  /// Python's errors="replace" (U+FFFD). Added tokens in the text ("<|im_start|>") become their ids when
  /// `parse_special`, and are plain text otherwise. Throws Error(kUsage) on more than 1 GiB.
  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, bool parse_special = true) const;

  /// Ids → text. Special tokens are left out unless asked for; what is not UTF-8 becomes U+FFFD. Throws
  /// Error(kUsage) on an id that does not exist.
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids, bool with_special = false) const;

  /// The raw bytes of one token (not necessarily whole characters); of a placeholder, none. Throws
  /// Error(kUsage) on an id that does not exist.
  [[nodiscard]] std::string_view token_bytes(std::int32_t id) const;
  [[nodiscard]] bool is_special(std::int32_t id) const noexcept;
  /// The id of the added or ordinary token that the file spells exactly so ("<|im_end|>", "Ġthe"), or
  /// nothing.
  [[nodiscard]] std::optional<std::int32_t> id_of(std::string_view token) const;
  /// Ids run from 0 to size() − 1; a model's vocab_size may be larger (padding).
  [[nodiscard]] std::int64_t size() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Turns a stream of ids into text, never half a character: bytes of an unfinished UTF-8 sequence wait for
/// the next id. All texts together are what Tokenizer::decode gives for all ids together.
class StreamDecoder {
 public:
  /// `tokenizer` must outlive the decoder.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool with_special = false);
  /// The text that `id` completes, possibly empty. Throws Error(kUsage) on an id that does not exist.
  [[nodiscard]] std::string push(std::int32_t id);
  /// What is left at the end: U+FFFD for an unfinished sequence, or nothing. The decoder is then as new.
  [[nodiscard]] std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool with_special_;
  std::string pending_;  // at most three bytes
};

}  // namespace lattice
