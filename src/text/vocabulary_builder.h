#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/token_index.h"
#include "text/tokenizer_data.h"

namespace lattice {

/// More tokens than any model has (Qwen3.5: 248,077), and few enough that every table of them is small.
constexpr std::size_t kMaxTokens = std::size_t{1} << 20;
/// The longest tokens in use are runs of 128 spaces, 256 bytes in the byte alphabet.
constexpr std::size_t kMaxTokenBytes = 4096;

/// Checks what both kinds of tokenizer file have in common, in the words of the one that is read.
class VocabularyBuilder {
 public:
  /// Messages name `file`, and the two fields as the file calls them.
  VocabularyBuilder(std::string file, std::string tokens_field, std::string merges_field)
      : file_(std::move(file)),
        tokens_field_(std::move(tokens_field)),
        merges_field_(std::move(merges_field)) {}

  /// Takes the tokens, which become data().tokens. All must be there, different, of 1 to kMaxTokenBytes bytes
  /// of UTF-8; and one for each byte. Types are needed as well: they decide which tokens are added ones.
  void set_tokens(std::vector<std::string> tokens, std::vector<TokenType> types);

  /// Adds the merge that the file lists at `index`.
  void add_merge(std::size_t index, std::string_view left, std::string_view right);
  /// The same, where it is written "left right".
  void add_merge(std::size_t index, std::string_view pair);

  /// The id that is spelled so.
  [[nodiscard]] std::optional<std::int32_t> find(std::string_view token) const;

  [[nodiscard]] TokenizerData& data() noexcept { return data_; }
  /// The finished data. Looks for pairs that are merged twice.
  [[nodiscard]] TokenizerData take();

 private:
  [[nodiscard]] std::int32_t part_of_merge(std::size_t index, std::string_view token) const;
  void check_bytes() const;

  std::string file_;
  std::string tokens_field_;
  std::string merges_field_;
  TokenizerData data_;
  std::optional<TokenIndex> index_;
};

}  // namespace lattice
