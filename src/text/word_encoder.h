#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe.h"
#include "text/token_index.h"
#include "text/tokenizer_data.h"

namespace lattice {

/// Words → ids. Most words of a text are tokens themselves, which one look-up finds: the vocabulary is its
/// own cache. Since a token need not be what the merges make of its bytes, the merges decide the first time
/// that it is met, and what they said is kept.
class WordEncoder {
 public:
  /// `token_bytes`, by id, must outlive the encoder.
  WordEncoder(const TokenizerData& data, const std::vector<std::string>& token_bytes);

  /// Appends the tokens of `word`. Safe to call from several threads.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

  /// The ordinary token of these bytes, or −1.
  [[nodiscard]] std::int32_t find(std::string_view bytes) const;

 private:
  enum class Verdict : std::uint8_t { kUnknown, kWhole, kPieces };

  const std::vector<std::string>& token_bytes_;
  TokenIndex index_;  // of ordinary tokens that are spelled in the byte alphabet
  std::size_t longest_ = 0;
  Bpe bpe_;
  // By id: whether the merges make the token from its bytes. Whoever finds out writes it down, and all write
  // the same, so relaxed order is enough.
  std::unique_ptr<std::atomic<Verdict>[]> verdicts_;
};

}  // namespace lattice
