#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "formats/json_file.h"
#include "support/fail.h"
#include "support/printable.h"
#include "text/tokenizer_data.h"
#include "text/vocabulary_builder.h"

namespace lattice {
namespace {

using Json = nlohmann::json;

/// A JSON object of the file, with the name by which messages call it.
class Object {
 public:
  Object(const std::string& file, std::string name, const Json& json)
      : file_(file), name_(std::move(name)), json_(json) {
    if (!json.is_object()) fail("{}: {} is not a JSON object", file_, name_.empty() ? "the file" : name_);
  }

  [[nodiscard]] std::string field(std::string_view key) const {
    return name_.empty() ? std::string(key) : name_ + "." + std::string(key);
  }
  /// The member, or JSON's null where there is none.
  [[nodiscard]] const Json& at(const char* key) const {
    static const Json null;
    const auto member = json_.find(key);
    return member == json_.end() ? null : *member;
  }
  [[nodiscard]] Object object(const char* key) const { return {file_, field(key), at(key)}; }
  [[nodiscard]] const std::string& string(const char* key) const {
    const Json& value = at(key);
    if (!value.is_string()) fail("{}: {} is not a string", file_, field(key));
    return value.get_ref<const std::string&>();
  }
  /// An absent flag is false.
  [[nodiscard]] bool flag(const char* key) const {
    const Json& value = at(key);
    if (!value.is_null() && !value.is_boolean()) fail("{}: {} is not true or false", file_, field(key));
    return value.is_boolean() && value.get<bool>();
  }
  [[nodiscard]] const Json::array_t& array(const char* key) const {
    const Json& value = at(key);
    if (!value.is_array()) fail("{}: {} is not an array", file_, field(key));
    return value.get_ref<const Json::array_t&>();
  }
  /// A token's id, below kMaxTokens.
  [[nodiscard]] std::int32_t id(const char* key) const { return id_of(field(key), at(key)); }
  [[nodiscard]] std::int32_t id_of(const std::string& field, const Json& value) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= kMaxTokens) {
      fail("{}: {} is not a whole number from 0 to {}", file_, field, kMaxTokens - 1);
    }
    return value.get<std::int32_t>();
  }

  void must_be_string(const char* key, std::string_view wanted) const {
    if (const std::string& value = string(key); value != wanted) {
      fail("{}: {} is {}; Lattice reads {}", file_, field(key), printable(value), printable(wanted));
    }
  }
  void must_be_off(const char* key) const {
    if (flag(key)) fail("{}: {} is true, which Lattice does not support", file_, field(key));
  }
  /// Null or an empty string.
  void must_be_unset(const char* key) const {
    const Json& value = at(key);
    const bool is_empty_string = value.is_string() && value.get_ref<const std::string&>().empty();
    if (value.is_null() || is_empty_string) return;
    fail("{}: {} is set, which Lattice does not support", file_, field(key));
  }

  [[nodiscard]] const std::string& file() const noexcept { return file_; }

 private:
  const std::string& file_;
  std::string name_;
  const Json& json_;
};

NormalizerKind read_normalizer(const Object& root) {
  if (root.at("normalizer").is_null()) return NormalizerKind::kNone;
  root.object("normalizer").must_be_string("type", "NFC");
  return NormalizerKind::kNfc;
}

PreTokenizerKind kind_of_pattern(const Object& split) {
  split.must_be_string("type", "Split");
  split.must_be_string("behavior", "Isolated");
  split.must_be_off("invert");
  const Object pattern = split.object("pattern");
  const std::string& regex = pattern.string("Regex");
  for (const auto kind : {PreTokenizerKind::kQwen35, PreTokenizerKind::kQwen2}) {
    if (regex == pattern_of(kind)) return kind;
  }
  fail("{}: {} is neither Qwen3.5's pattern nor Qwen2's: {}", split.file(), pattern.field("Regex"),
       printable(regex, 200));
}

/// The sequence of Qwen's one Split and the byte alphabet.
PreTokenizerKind read_pre_tokenizer(const Object& root) {
  const Object sequence = root.object("pre_tokenizer");
  sequence.must_be_string("type", "Sequence");
  const auto& steps = sequence.array("pretokenizers");
  if (steps.size() != 2) {
    fail("{}: {} has {} entries, not 2 (Split and ByteLevel)", root.file(), sequence.field("pretokenizers"),
         steps.size());
  }
  const Object byte_level(root.file(), sequence.field("pretokenizers[1]"), steps[1]);
  byte_level.must_be_string("type", "ByteLevel");
  byte_level.must_be_off("add_prefix_space");
  byte_level.must_be_off("use_regex");
  return kind_of_pattern(Object(root.file(), sequence.field("pretokenizers[0]"), steps[0]));
}

/// What comes after the merges must change nothing. (The fields truncation and padding are left over from the
/// last use of whatever wrote the file; transformers sets them anew on every call.)
void check_other_steps(const Object& root) {
  root.object("decoder").must_be_string("type", "ByteLevel");
  if (!root.at("post_processor").is_null()) root.object("post_processor").must_be_string("type", "ByteLevel");
}

void check_model(const Object& model) {
  model.must_be_string("type", "BPE");
  for (const char* key : {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
    model.must_be_unset(key);
  }
  for (const char* key : {"byte_fallback", "ignore_merges"}) model.must_be_off(key);
}

struct Added {
  TokenizerData::AddedToken token;
  const std::string* text;
};

/// added_tokens, by id.
std::vector<Added> read_added_tokens(const Object& root) {
  std::vector<Added> added;
  if (root.at("added_tokens").is_null()) return added;
  const auto& entries = root.array("added_tokens");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Object entry(root.file(), root.field("added_tokens[" + std::to_string(i) + "]"), entries[i]);
    for (const char* key : {"single_word", "lstrip", "rstrip"}) entry.must_be_off(key);
    added.push_back(
        {{entry.id("id"), entry.flag("special"), entry.flag("normalized")}, &entry.string("content")});
  }
  std::sort(added.begin(), added.end(),
            [](const Added& a, const Added& b) { return a.token.id < b.token.id; });
  return added;
}

/// The base vocabulary and the added tokens by id, which must leave no id out.
class IdTable {
 public:
  IdTable(const std::string& file, std::size_t capacity) : file_(file), tokens_(capacity), types_(capacity) {
    types_.assign(capacity, TokenType::kUnused);
  }

  void place(std::int32_t id, const std::string& text, TokenType type, std::string_view field) {
    const auto at = static_cast<std::size_t>(id);
    if (at >= tokens_.size()) {
      fail("{}: {}: {} has id {}, but there are at most {} tokens, so that ids are missing", file_, field,
           printable(text), id, tokens_.size());
    }
    // An added token may be one of the base vocabulary too, with the same id.
    if (types_[at] != TokenType::kUnused && tokens_[at] != text) {
      fail("{}: {}: id {} belongs to both {} and {}", file_, field, id, printable(tokens_[at]),
           printable(text));
    }
    count_ += types_[at] == TokenType::kUnused ? 1 : 0;
    tokens_[at] = text;
    types_[at] = type;
  }

  void give_to(VocabularyBuilder& builder, std::string_view field) {
    const auto hole =
        std::find(types_.begin(), types_.begin() + static_cast<std::ptrdiff_t>(count_), TokenType::kUnused);
    if (hole != types_.begin() + static_cast<std::ptrdiff_t>(count_)) {
      fail("{}: {}: no token has id {}, but later ids are in use", file_, field, hole - types_.begin());
    }
    tokens_.resize(count_);
    types_.resize(count_);
    builder.set_tokens(std::move(tokens_), std::move(types_));
  }

 private:
  const std::string& file_;
  std::vector<std::string> tokens_;
  std::vector<TokenType> types_;  // kUnused: not seen yet
  std::size_t count_ = 0;
};

void read_vocabulary(const Object& root, const Object& model, VocabularyBuilder& builder) {
  const Object vocab = model.object("vocab");
  const auto& entries = model.at("vocab").get_ref<const Json::object_t&>();
  const std::vector<Added> added = read_added_tokens(root);
  const std::size_t most = entries.size() + added.size();
  if (most > kMaxTokens) {
    fail("{}: model.vocab and added_tokens have {} entries, more than the {} that are allowed", root.file(),
         most, kMaxTokens);
  }
  IdTable table(root.file(), most);
  for (const auto& [token, id] : entries) {
    table.place(vocab.id_of("model.vocab[" + printable(token) + "]", id), token, TokenType::kNormal,
                "model.vocab");
  }
  for (const auto& [token, text] : added) {
    table.place(token.id, *text, token.special ? TokenType::kControl : TokenType::kUserDefined,
                "added_tokens");
    auto& list = builder.data().added_tokens;
    if (!list.empty() && list.back().id == token.id) {
      fail("{}: added_tokens: id {} is listed twice", root.file(), token.id);
    }
    list.push_back(token);
  }
  table.give_to(builder, "model.vocab and added_tokens");
}

/// Each is "left right" or, in newer files, ["left", "right"].
void read_merges(const Object& model, VocabularyBuilder& builder) {
  const auto& merges = model.array("merges");
  builder.data().merges.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const Json& merge = merges[i];
    if (merge.is_string()) {
      builder.add_merge(i, merge.get_ref<const std::string&>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      builder.add_merge(i, merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
    } else {
      fail("{}: {}[{}] is neither a string nor a pair of strings", model.file(), model.field("merges"), i);
    }
  }
}

/// A special token of tokenizer_config.json: its text, or an object with that text as `content`.
std::optional<std::int32_t> read_special(const Object& config, const char* key,
                                         const VocabularyBuilder& builder) {
  const Json& value = config.at(key);
  if (value.is_null()) return std::nullopt;
  const std::string& text = value.is_object() ? config.object(key).string("content") : config.string(key);
  const auto id = builder.find(text);
  if (!id) fail("{}: {} is {}, which is not a token", config.file(), key, printable(text));
  return id;
}

void read_specials(const std::filesystem::path& path, VocabularyBuilder& builder) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  const std::string file = path.string();
  const Json json = load_json_file(path);
  const Object config(file, "", json);
  for (const char* key : {"add_bos_token", "add_eos_token"}) config.must_be_off(key);
  TokenizerData& data = builder.data();
  data.bos_id = read_special(config, "bos_token", builder);
  data.eos_id = read_special(config, "eos_token", builder);
  data.pad_id = read_special(config, "pad_token", builder);
}

}  // namespace

TokenizerData TokenizerData::from_json(const std::filesystem::path& path) {
  const std::string file = path.string();
  const Json json = load_json_file(path);
  const Object root(file, "", json);
  const Object model = root.object("model");
  check_model(model);
  check_other_steps(root);
  VocabularyBuilder builder(file, "model.vocab and added_tokens", "model.merges");
  builder.data().normalizer = read_normalizer(root);
  builder.data().pre_tokenizer = read_pre_tokenizer(root);
  read_vocabulary(root, model, builder);
  read_merges(model, builder);
  read_specials(path.parent_path() / "tokenizer_config.json", builder);
  return builder.take();
}

}  // namespace lattice
