#include "text/word_encoder.h"

#include <algorithm>

namespace lattice {
namespace {

std::array<std::uint32_t, 256> byte_ids_of(const TokenizerData& data,
                                           const std::vector<std::string>& token_bytes) {
  std::array<std::uint32_t, 256> ids{};
  for (std::size_t id = 0; id < token_bytes.size(); ++id) {
    if (data.types[id] != TokenType::kNormal || token_bytes[id].size() != 1) continue;
    ids[static_cast<std::uint8_t>(token_bytes[id][0])] = static_cast<std::uint32_t>(id);
  }
  return ids;
}

}  // namespace

WordEncoder::WordEncoder(const TokenizerData& data, const std::vector<std::string>& token_bytes)
    : token_bytes_(token_bytes),
      index_(token_bytes.size()),
      bpe_(data, byte_ids_of(data, token_bytes)),
      verdicts_(new std::atomic<Verdict>[token_bytes.size()]()) {
  for (std::size_t id = 0; id < token_bytes.size(); ++id) {
    if (data.types[id] != TokenType::kNormal) continue;
    longest_ = std::max(longest_, token_bytes[id].size());
    index_.insert(token_bytes[id], static_cast<std::int32_t>(id),
                  [&](std::int32_t other) -> const std::string& {
                    return token_bytes[static_cast<std::size_t>(other)];
                  });
  }
}

std::int32_t WordEncoder::find(std::string_view bytes) const {
  if (bytes.size() > longest_) return -1;
  return index_.find(bytes, [this](std::int32_t id) -> const std::string& {
    return token_bytes_[static_cast<std::size_t>(id)];
  });
}

void WordEncoder::encode(std::string_view word, std::vector<std::int32_t>& ids) const {
  const std::int32_t id = find(word);
  if (id < 0) return bpe_.encode(word, ids);
  std::atomic<Verdict>& verdict = verdicts_[static_cast<std::size_t>(id)];
  if (verdict.load(std::memory_order_relaxed) == Verdict::kWhole) {
    ids.push_back(id);
    return;
  }
  const std::size_t before = ids.size();
  bpe_.encode(word, ids);
  const bool whole = ids.size() == before + 1;  // the merges make no other token of these bytes
  verdict.store(whole ? Verdict::kWhole : Verdict::kPieces, std::memory_order_relaxed);
}

}  // namespace lattice
