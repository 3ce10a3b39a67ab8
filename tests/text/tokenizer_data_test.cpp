#include "text/tokenizer_data.h"

#include <functional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "text/small_vocabulary.h"
#include "text/tokenizer.h"
#include "text/vocabularies.h"

namespace lattice {
namespace {

using Json = nlohmann::json;

bool operator==(const TokenizerData::Merge& a, const TokenizerData::Merge& b) {
  return a.left == b.left && a.right == b.right && a.result == b.result;
}
bool operator==(const TokenizerData::AddedToken& a, const TokenizerData::AddedToken& b) {
  return a.id == b.id && a.special == b.special && a.normalized == b.normalized;
}

class TokenizerFiles : public testing::Test {
 protected:
  TokenizerData read(const std::string& text) {
    write_file(path(), text);
    return TokenizerData::from_json(path());
  }
  /// The message for the small tokenizer.json after `change`, without the path.
  std::string error(const std::function<void(Json&)>& change) {
    Json json = small_tokenizer_json();
    change(json);
    return error_of_text(json.dump());
  }
  std::string error_of_text(const std::string& text) {
    std::string message = error_of([&] { (void)read(text); });
    if (const auto at = message.find(path().string() + ": "); at == 0)
      message.erase(0, path().string().size() + 2);
    return message;
  }
  [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "tokenizer.json"; }

  TemporaryDirectory directory_;
};

TEST_F(TokenizerFiles, ShippedModel) {
  const TokenizerData data = TokenizerData::from_json(shipped_tokenizer_json());
  EXPECT_EQ(data.tokens.size(), 8192u);
  EXPECT_EQ(data.types.size(), 8192u);
  EXPECT_EQ(data.merges.size(), 7931u);
  EXPECT_EQ(data.pre_tokenizer, PreTokenizerKind::kQwen35);
  EXPECT_EQ(data.normalizer, NormalizerKind::kNfc);
  EXPECT_EQ(data.tokens[static_cast<std::size_t>(data.merges[0].result)], "Ġt");
  ASSERT_EQ(data.added_tokens.size(), 5u);
  EXPECT_EQ(data.tokens[8188], "<|im_start|>");
  EXPECT_EQ(data.types[8188], TokenType::kControl);
  EXPECT_EQ(data.types[8190], TokenType::kUserDefined);
  EXPECT_EQ(data.eos_id, 8187);
  EXPECT_EQ(data.pad_id, 8187);
  EXPECT_EQ(data.bos_id, std::nullopt);
}

TEST_F(TokenizerFiles, MergesInBothSpellings) {
  Json json = small_tokenizer_json();
  const TokenizerData pairs = read(json.dump());
  json["model"]["merges"] = {"h e", "l l", "he ll", "hell o"};
  const TokenizerData strings = read(json.dump());
  ASSERT_EQ(pairs.merges.size(), 4u);
  EXPECT_TRUE(pairs.merges[2] == (TokenizerData::Merge{256, 257, 258}));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(pairs.merges[i] == strings.merges[i]) << i;
}

TEST_F(TokenizerFiles, WhatStandsForNothingIsAccepted) {
  EXPECT_EQ(error([](Json& json) {
              json["normalizer"] = nullptr;
              json["post_processor"] = nullptr;
              json["model"]["continuing_subword_prefix"] = "";
              json["truncation"] = {{"max_length", 5}};
            }),
            "");
}

TEST_F(TokenizerFiles, AnAddedTokenMayBeOfTheBaseVocabularyToo) {
  Json json = small_tokenizer_json();
  json["model"]["vocab"]["<|end|>"] = 261;
  const TokenizerData data = read(json.dump());
  EXPECT_EQ(data.types[261], TokenType::kControl);
  EXPECT_EQ(data.added_tokens.size(), 2u);
}

TEST_F(TokenizerFiles, GgufSaysTheSame) {
  TokenizerData data = read(small_tokenizer_json().dump());
  data.eos_id = 261;
  data.tokens.emplace_back("[PAD263]");
  data.types.push_back(TokenType::kUnused);
  write_gguf(directory_.path() / "model.gguf", data);
  const TokenizerData copy = TokenizerData::from(*Checkpoint::open(directory_.path() / "model.gguf"));
  EXPECT_EQ(copy.tokens, data.tokens);
  EXPECT_EQ(copy.types, data.types);
  EXPECT_TRUE(std::equal(copy.merges.begin(), copy.merges.end(), data.merges.begin(), data.merges.end(),
                         [](const auto& a, const auto& b) { return a == b; }));
  EXPECT_TRUE(std::equal(copy.added_tokens.begin(), copy.added_tokens.end(), data.added_tokens.begin(),
                         data.added_tokens.end(), [](const auto& a, const auto& b) { return a == b; }));
  EXPECT_EQ(copy.eos_id, 261);
  EXPECT_EQ(copy.pre_tokenizer, data.pre_tokenizer);
}

TEST_F(TokenizerFiles, SpecialTokensOfTheConfig) {
  const auto config = directory_.path() / "tokenizer_config.json";
  write_file(config, R"({"eos_token": {"content": "<|end|>"}, "pad_token": "<think>", "bos_token": null})");
  const TokenizerData data = read(small_tokenizer_json().dump());
  EXPECT_EQ(data.eos_id, 261);
  EXPECT_EQ(data.pad_id, 262);
  EXPECT_EQ(data.bos_id, std::nullopt);
  const auto message = [&](std::string_view text) {
    write_file(config, text);
    return error_of([&] { (void)TokenizerData::from_json(path()); });
  };
  EXPECT_NE(message(R"({"eos_token": "<|x|>"})").find("eos_token is \"<|x|>\", which is not a token"),
            std::string::npos);
  EXPECT_NE(message(R"({"eos_token": 7})").find("eos_token is not a string"), std::string::npos);
  EXPECT_NE(message(R"({"add_bos_token": true})").find("add_bos_token is true"), std::string::npos);
  EXPECT_NE(message("[]").find("tokenizer_config.json: the file is not a JSON object"), std::string::npos);
}

TEST_F(TokenizerFiles, RefusesWhatItCannotHonour) {
  EXPECT_EQ(error([](Json& j) { j["model"]["type"] = "Unigram"; }),
            "model.type is \"Unigram\"; Lattice reads \"BPE\"");
  EXPECT_EQ(error([](Json& j) { j["model"].erase("type"); }), "model.type is not a string");
  EXPECT_EQ(error([](Json& j) { j["model"]["unk_token"] = "<unk>"; }),
            "model.unk_token is set, which Lattice does not support");
  EXPECT_EQ(error([](Json& j) { j["model"]["dropout"] = 0.1; }),
            "model.dropout is set, which Lattice does not support");
  EXPECT_EQ(error([](Json& j) { j["model"]["ignore_merges"] = true; }),
            "model.ignore_merges is true, which Lattice does not support");
  EXPECT_EQ(error([](Json& j) { j["normalizer"]["type"] = "NFKC"; }),
            "normalizer.type is \"NFKC\"; Lattice reads \"NFC\"");
  EXPECT_EQ(error([](Json& j) { j["pre_tokenizer"] = nullptr; }), "pre_tokenizer is not a JSON object");
  EXPECT_EQ(error([](Json& j) { j["pre_tokenizer"]["pretokenizers"].erase(0); }),
            "pre_tokenizer.pretokenizers has 1 entries, not 2 (Split and ByteLevel)");
  EXPECT_EQ(error([](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\w+"; }),
            "pre_tokenizer.pretokenizers[0].pattern.Regex is neither Qwen3.5's pattern nor Qwen2's: "
            "\"\\\\w+\"");
  EXPECT_EQ(error([](Json& j) { j["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = true; }),
            "pre_tokenizer.pretokenizers[1].use_regex is true, which Lattice does not support");
  EXPECT_EQ(error([](Json& j) { j["decoder"] = nullptr; }), "decoder is not a JSON object");
  EXPECT_EQ(error([](Json& j) { j["post_processor"]["type"] = "TemplateProcessing"; }),
            "post_processor.type is \"TemplateProcessing\"; Lattice reads \"ByteLevel\"");
  EXPECT_EQ(error([](Json& j) { j["added_tokens"][1]["lstrip"] = true; }),
            "added_tokens[1].lstrip is true, which Lattice does not support");
}

TEST_F(TokenizerFiles, RefusesWhatDoesNotHoldTogether) {
  EXPECT_EQ(error([](Json& j) { j["model"]["vocab"] = Json::array(); }), "model.vocab is not a JSON object");
  EXPECT_EQ(error([](Json& j) { j["model"].erase("vocab"); }), "model.vocab is not a JSON object");
  EXPECT_EQ(error([](Json& j) { j["model"]["merges"] = "h e"; }), "model.merges is not an array");
  EXPECT_EQ(error([](Json& j) { j["model"]["vocab"]["he"] = -1; }),
            "model.vocab[\"he\"] is not a whole number from 0 to 1048575");
  EXPECT_EQ(error([](Json& j) { j["model"]["vocab"]["he"] = 18446744073709551615u; }),
            "model.vocab[\"he\"] is not a whole number from 0 to 1048575");
  EXPECT_EQ(error([](Json& j) { j["model"]["vocab"]["he"] = 256.0; }),
            "model.vocab[\"he\"] is not a whole number from 0 to 1048575");
  EXPECT_EQ(error([](Json& j) { j["model"]["vocab"]["he"] = 1000000; }),
            "model.vocab: \"he\" has id 1000000, but there are at most 263 tokens, so that ids are missing");
  EXPECT_EQ(error([](Json& j) { j["model"]["vocab"]["he"] = 257; }),
            "model.vocab: id 257 belongs to both \"he\" and \"ll\"");
  EXPECT_EQ(
      error([](Json& j) { j["model"]["vocab"].erase("oĠw"); }),
      "added_tokens: \"<think>\" has id 262, but there are at most 262 tokens, so that ids are missing");
  EXPECT_EQ(error([](Json& j) { j["added_tokens"][0]["id"] = 262; }),
            "added_tokens: id 262 belongs to both \"<|end|>\" and \"<think>\"");
  EXPECT_EQ(error([](Json& j) { j["added_tokens"].push_back(j["added_tokens"][0]); }),
            "added_tokens: id 261 is listed twice");
  EXPECT_EQ(error([](Json& j) { j["added_tokens"][0]["content"] = "he"; }),
            "model.vocab and added_tokens: tokens 256 and 261 are both \"he\"");
  EXPECT_EQ(error([](Json& j) { j["added_tokens"][0]["content"] = ""; }),
            "model.vocab and added_tokens: token 261 is empty");
  EXPECT_EQ(error([](Json& j) { j["added_tokens"][0]["content"] = std::string(5000, 'x'); }),
            "model.vocab and added_tokens: token 261 has 5000 bytes, more than the 4096 that are allowed");
  EXPECT_EQ(
      error([](Json& j) {
        j["model"]["vocab"].erase("Ġ");
        j["model"]["vocab"]["zz"] = 32;
      }),
      "model.vocab and added_tokens: no token for byte 0x20 (\"Ġ\"), which a byte-level vocabulary must "
      "have");
  EXPECT_EQ(error([](Json& j) {
              j["model"]["merges"][1] = {"l", "zz"};
            }),
            "model.merges[1]: \"zz\" is not a token of the vocabulary");
  EXPECT_EQ(error([](Json& j) {
              j["model"]["merges"][1] = {"l", "o"};
            }),
            "model.merges[1]: \"lo\" is not a token of the vocabulary");
  EXPECT_EQ(error([](Json& j) {
              j["model"]["merges"][3] = {"h", "e"};
            }),
            "model.merges[0] and [3] merge the same pair");
  EXPECT_EQ(error([](Json& j) { j["model"]["merges"][3] = {"h"}; }),
            "model.merges[3] is neither a string nor a pair of strings");
  EXPECT_EQ(error([](Json& j) { j["model"]["merges"][3] = "he l l"; }),
            "model.merges[3] is \"he l l\", not two tokens with a space between");
}

TEST_F(TokenizerFiles, SurvivesAnyDamage) {
  const std::string text = small_tokenizer_json().dump();
  std::mt19937 random(11);
  int accepted = 0;
  for (int round = 0; round < 600; ++round) {
    std::string damaged = text;
    for (std::size_t i = 0; i <= random() % 3; ++i) {
      const std::size_t at = random() % damaged.size();
      switch (random() % 3) {
        case 0:
          damaged[at] = static_cast<char>(random());
          break;
        case 1:
          damaged.erase(at, 1 + random() % 20);
          break;
        default:
          damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 20));
      }
    }
    write_file(path(), damaged);
    const std::string message = error_of([&] {
      const Tokenizer tokenizer(TokenizerData::from_json(path()));
      (void)tokenizer.encode("hello <|end|> \xff");
      ++accepted;
    });
    EXPECT_TRUE(message.empty() || message.starts_with(path().string() + ": ")) << message;
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 590);
  for (std::size_t size = 1; size < text.size(); size += 97) {
    EXPECT_NE(error_of_text(text.substr(0, size)), "") << size;
  }
}

class GgufTokenizers : public TokenizerFiles {
 protected:
  /// The message for the small vocabulary as GGUF after `change`, without the path.
  std::string gguf_error(const std::function<void(TokenizerData&)>& change) {
    TokenizerData data = read(small_tokenizer_json().dump());
    change(data);
    const auto gguf = directory_.path() / "model.gguf";
    write_gguf(gguf, data);
    std::string message = error_of([&] { (void)TokenizerData::from_gguf(*Checkpoint::open(gguf)); });
    if (message.starts_with(gguf.string() + ": ")) message.erase(0, gguf.string().size() + 2);
    return message;
  }
  /// The message for a file with these strings alone.
  std::string error_of_strings(const std::vector<std::pair<std::string, std::string>>& pairs) {
    const auto gguf = directory_.path() / "model.gguf";
    GgufWriter writer(gguf);
    writer.add("general.architecture", std::string_view("qwen35"));
    for (const auto& [key, value] : pairs) writer.add(key, std::string_view(value));
    writer.finish();
    std::string message = error_of([&] { (void)TokenizerData::from_gguf(*Checkpoint::open(gguf)); });
    return message.substr(gguf.string().size() + 2);
  }
};

TEST_F(GgufTokenizers, RefuseWhatDoesNotHoldTogether) {
  EXPECT_EQ(gguf_error([](TokenizerData&) {}), "");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.types.pop_back(); }),
            "tokenizer.ggml.token_type has 262 entries, but tokenizer.ggml.tokens has 263");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.types[3] = static_cast<TokenType>(6); }),
            "tokenizer.ggml.token_type[3] is 6, not 1, 3, 4 or 5 (normal, control, user-defined, unused)");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.types[65] = TokenType::kControl; }),
            "tokenizer.ggml.tokens: no token for byte 0x41 (\"A\"), which a byte-level vocabulary must have");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.tokens[258] = "\xff\xfe"; }),
            "tokenizer.ggml.tokens: token 258 is not UTF-8: \"\\xff\\xfe\"");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.tokens[258] = "he"; }),
            "tokenizer.ggml.tokens: tokens 256 and 258 are both \"he\"");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.tokens[258].clear(); }),
            "tokenizer.ggml.tokens: token 258 is empty");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.eos_id = 263; }),
            "tokenizer.ggml.eos_token_id is 263, outside the 263 tokens");
  EXPECT_EQ(gguf_error([](TokenizerData& d) {
              d.merges[1] = {'x', 'y', 0};
            }),
            "tokenizer.ggml.merges[1]: \"xy\" is not a token of the vocabulary");
  EXPECT_EQ(gguf_error([](TokenizerData& d) { d.merges[1] = d.merges[0]; }),
            "tokenizer.ggml.merges[0] and [1] merge the same pair");
}

TEST_F(GgufTokenizers, RefuseWhatTheyCannotHonour) {
  EXPECT_EQ(error_of_strings({}), "metadata key \"tokenizer.ggml.model\" is missing");
  EXPECT_EQ(error_of_strings({{"tokenizer.ggml.model", "llama"}}),
            "tokenizer.ggml.model is \"llama\"; Lattice reads gpt2 (byte-level BPE)");
  EXPECT_EQ(error_of_strings({{"tokenizer.ggml.model", "gpt2"}}),
            "metadata key \"tokenizer.ggml.tokens\" is missing");
  EXPECT_EQ(error_of_strings({{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.tokens", "a"}}),
            "metadata key \"tokenizer.ggml.tokens\" is not an array of strings");
  EXPECT_EQ(error_of_strings({{"tokenizer.ggml.model", "gpt2"}, {"tokenizer.ggml.add_bos_token", "yes"}}),
            "metadata key \"tokenizer.ggml.add_bos_token\" is not a boolean");
}

TEST(TokenizerDataFrom, SaysThatAModelHasNoTokenizer) {
  const auto directory = std::filesystem::path(LATTICE_SOURCE_DIR) / "tests/data/model/base";
  const std::string message = error_of([&] { (void)TokenizerData::from(*Checkpoint::open(directory)); });
  EXPECT_EQ(message, directory.string() +
                         ": the model has no tokenizer.json, so it can be given token ids and no text");
}

}  // namespace
}  // namespace lattice
