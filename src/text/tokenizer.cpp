#include "text/tokenizer.h"

#include <map>
#include <utility>

#include "support/fail.h"
#include "support/utf8.h"
#include "text/added_token_finder.h"
#include "text/byte_level.h"
#include "text/nfc.h"
#include "text/pre_tokenizer.h"
#include "text/utf8_text.h"
#include "text/word_encoder.h"

namespace lattice {
namespace {

/// Positions in a text are kept in 32 bits here and there.
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

using Ids = std::vector<std::int32_t>;

/// Every token's bytes, by id. As in Hugging Face's ByteLevel decoder, a token (an added one too) that can be
/// read in the byte alphabet is; any other is text as it stands.
std::vector<std::string> bytes_of_tokens(const TokenizerData& data) {
  std::vector<std::string> bytes(data.tokens.size());
  for (std::size_t id = 0; id < bytes.size(); ++id) {
    if (data.types[id] == TokenType::kUnused) continue;
    bytes[id] = bytes_of_spelling(data.tokens[id]).value_or(data.tokens[id]);
  }
  return bytes;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(const TokenizerData& data);

  void encode(std::string_view text, bool parse_special, Ids& ids) const;
  void encode_raw(std::string_view text, bool parse_special, Ids& ids) const;
  void encode_normalized(std::string_view text, bool parse_special, Ids& ids) const;
  void encode_words(std::string_view text, Ids& ids) const;
  template <typename EncodeText>
  static void split(const AddedTokenFinder& finder, std::string_view text, Ids& ids,
                    const EncodeText& encode_text);

  std::vector<std::string> bytes;
  std::vector<bool> special;
  std::map<std::string, std::int32_t, std::less<>> verbatim;  // tokens that are not looked up by their bytes
  WordEncoder words;
  PreTokenizer pre_tokenizer;
  std::optional<Nfc> nfc;
  AddedTokenFinder raw_finder;         // of added tokens that are looked for before normalisation
  AddedTokenFinder normalized_finder;  // and after
};

Tokenizer::Impl::Impl(const TokenizerData& data)
    : bytes(bytes_of_tokens(data)),
      special(data.tokens.size()),
      words(data, bytes),
      pre_tokenizer(data.pre_tokenizer) {
  if (data.normalizer == NormalizerKind::kNfc) nfc.emplace();
  for (std::size_t id = 0; id < bytes.size(); ++id) {
    special[id] = data.types[id] == TokenType::kControl;
    if (data.types[id] != TokenType::kNormal)
      verbatim.emplace(data.tokens[id], static_cast<std::int32_t>(id));
  }
  for (const auto& [id, is_special, is_normalized] : data.added_tokens) {
    const std::string& text = data.tokens[static_cast<std::size_t>(id)];
    if (!is_normalized) {
      raw_finder.add(text, id);
      continue;
    }
    std::string buffer;
    normalized_finder.add(std::string(nfc ? nfc->normalize(text, buffer) : text), id);
  }
  raw_finder.finish();
  normalized_finder.finish();
}

void Tokenizer::Impl::encode(std::string_view text, bool parse_special, Ids& ids) const {
  if (is_utf8(text)) return encode_raw(text, parse_special, ids);
  encode_raw(replacing_invalid(text), parse_special, ids);
}

/// Calls encode_text for what stands between the added tokens.
template <typename EncodeText>
void Tokenizer::Impl::split(const AddedTokenFinder& finder, std::string_view text, Ids& ids,
                            const EncodeText& encode_text) {
  std::size_t from = 0;
  while (from < text.size()) {
    const auto [begin, length, id] = finder.find(text, from);
    if (begin > from) encode_text(text.substr(from, begin - from));
    if (id >= 0) ids.push_back(id);
    from = begin + length;
  }
}

void Tokenizer::Impl::encode_raw(std::string_view text, bool parse_special, Ids& ids) const {
  std::string buffer;
  const auto encode_text = [&](std::string_view part) {
    encode_normalized(nfc ? nfc->normalize(part, buffer) : part, parse_special, ids);
  };
  if (!parse_special || raw_finder.empty()) return encode_text(text);
  split(raw_finder, text, ids, encode_text);
}

void Tokenizer::Impl::encode_normalized(std::string_view text, bool parse_special, Ids& ids) const {
  if (!parse_special || normalized_finder.empty()) return encode_words(text, ids);
  split(normalized_finder, text, ids, [&](std::string_view part) { encode_words(part, ids); });
}

void Tokenizer::Impl::encode_words(std::string_view text, Ids& ids) const {
  while (!text.empty()) {
    const std::size_t length = pre_tokenizer.word_length(text);
    words.encode(text.substr(0, length), ids);
    text.remove_prefix(length);
  }
}

std::unique_ptr<Tokenizer> Tokenizer::from_json_file(const std::filesystem::path& path) {
  return std::make_unique<Tokenizer>(TokenizerData::from_json(path));
}

std::unique_ptr<Tokenizer> Tokenizer::from_gguf(const Checkpoint& checkpoint) {
  return std::make_unique<Tokenizer>(TokenizerData::from_gguf(checkpoint));
}

std::unique_ptr<Tokenizer> Tokenizer::from(const Checkpoint& checkpoint) {
  return std::make_unique<Tokenizer>(TokenizerData::from(checkpoint));
}

Tokenizer::Tokenizer(const TokenizerData& data) : impl_(std::make_unique<Impl>(data)) {}
Tokenizer::~Tokenizer() = default;

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  if (text.size() > kMaxTextBytes) {
    fail_usage("a text of {} bytes is longer than the {} that can be tokenised at once", text.size(),
               kMaxTextBytes);
  }
  Ids ids;
  ids.reserve(text.size() / 3);  // English has four to five bytes a token
  impl_->encode(text, parse_special, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool with_special) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    const std::string_view token = token_bytes(id);
    if (with_special || !is_special(id)) bytes += token;
  }
  return replacing_invalid(bytes);
}

std::string_view Tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= size()) fail_usage("there is no token {}: ids go from 0 to {}", id, size() - 1);
  return impl_->bytes[static_cast<std::size_t>(id)];
}

bool Tokenizer::is_special(std::int32_t id) const noexcept {
  return id >= 0 && id < size() && impl_->special[static_cast<std::size_t>(id)];
}

std::optional<std::int32_t> Tokenizer::id_of(std::string_view token) const {
  if (const auto found = impl_->verbatim.find(token); found != impl_->verbatim.end()) return found->second;
  const auto bytes = bytes_of_spelling(token);
  const std::int32_t id = bytes ? impl_->words.find(*bytes) : -1;
  return id < 0 ? std::nullopt : std::optional(id);
}

std::int64_t Tokenizer::size() const noexcept {
  return static_cast<std::int64_t>(impl_->bytes.size());
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool with_special)
    : tokenizer_(&tokenizer), with_special_(with_special) {}

std::string StreamDecoder::push(std::int32_t id) {
  const std::string_view token = tokenizer_->token_bytes(id);
  if (!with_special_ && tokenizer_->is_special(id)) return {};
  pending_ += token;
  std::string text;
  const std::size_t unfinished = append_replacing(text, pending_);
  pending_.erase(0, pending_.size() - unfinished);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text(pending_.empty() ? std::string_view() : kReplacement);
  pending_.clear();
  return text;
}

}  // namespace lattice
