#include "text/tokenizer.h"

#include <chrono>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "text/small_vocabulary.h"
#include "text/vocabularies.h"

namespace lattice {
namespace {

using Ids = std::vector<std::int32_t>;

Tokenizer small_tokenizer(const nlohmann::json& json) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "tokenizer.json", json.dump());
  return Tokenizer(TokenizerData::from_json(directory.path() / "tokenizer.json"));
}

class Small : public testing::Test {
 protected:
  Tokenizer tokenizer_ = small_tokenizer(small_tokenizer_json());
};

TEST_F(Small, EncodesByMergesAlone) {
  EXPECT_EQ(tokenizer_.encode("hello"), (Ids{260}));
  EXPECT_EQ(tokenizer_.encode("hellhe"), (Ids{258, 256}));
  EXPECT_EQ(tokenizer_.encode("lllhel"), (Ids{257, 'l', 256, 'l'}));
  EXPECT_EQ(tokenizer_.encode(""), Ids{});
  EXPECT_EQ(tokenizer_.encode(std::string("\0x", 2)), (Ids{0, 'x'}));
  EXPECT_EQ(tokenizer_.encode("\xff"), (Ids{0xef, 0xbf, 0xbd}));
  EXPECT_EQ(tokenizer_.encode("e\u0301"), (Ids{0xc3, 0xa9}));
}

/// "hello" is a token, but without its last merge nothing makes it.
TEST(Tokenizer, ATokenIsNotTakenWhereTheMergesDoNotMakeIt) {
  nlohmann::json json = small_tokenizer_json();
  json["model"]["merges"].erase(3);
  const Tokenizer tokenizer = small_tokenizer(json);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(tokenizer.encode("hello"), (Ids{258, 'o'}));
}

TEST(Tokenizer, NormalizesOnlyWhereTheFileSaysSo) {
  nlohmann::json json = small_tokenizer_json();
  json["normalizer"] = nullptr;
  EXPECT_EQ(small_tokenizer(json).encode("e\u0301"), (Ids{'e', 0xcc, 0x81}));
}

TEST_F(Small, AddedTokensAreTextWhereTheyAreNotToBeParsed) {
  EXPECT_EQ(tokenizer_.encode("a<|end|>b<think>"), (Ids{'a', 261, 'b', 262}));
  const Ids plain = tokenizer_.encode("<|end|><think>", false);
  EXPECT_EQ(plain.size(), std::string("<|end|><think>").size());
  EXPECT_EQ(tokenizer_.decode(plain), "<|end|><think>");
}

/// A token that is looked for after normalisation: U+226F is one character, and no longer a ">".
TEST(Tokenizer, NormalizedAddedTokens) {
  nlohmann::json json = small_tokenizer_json();
  EXPECT_EQ(small_tokenizer(json).encode("<think>\u0338")[0], 262);
  json["added_tokens"][1]["normalized"] = true;
  const Tokenizer tokenizer = small_tokenizer(json);
  EXPECT_EQ(tokenizer.encode("a<think>b<|end|>"), (Ids{'a', 262, 'b', 261}));
  EXPECT_EQ(tokenizer.encode("<think>\u0338")[0], '<');
  json["added_tokens"][1]["content"] = "e\u0301";
  EXPECT_EQ(small_tokenizer(json).encode("x\u00e9 e\u0301"), (Ids{'x', 262, ' ', 262}));
}

TEST_F(Small, LeavesSpecialTokensOutOfText) {
  const Ids ids = {'a', 261, 262, 'b'};
  EXPECT_EQ(tokenizer_.decode(ids), "a<think>b");
  EXPECT_EQ(tokenizer_.decode(ids, true), "a<|end|><think>b");
  // Half a character on either side of a special token comes together.
  EXPECT_EQ(tokenizer_.decode(Ids{0xc3, 261, 0xa9}), "é");
  EXPECT_EQ(tokenizer_.decode(Ids{0xc3, 261, 0xa9}, true), "\ufffd<|end|>\ufffd");
}

TEST_F(Small, KnowsItsTokens) {
  EXPECT_EQ(tokenizer_.size(), 263);
  EXPECT_EQ(tokenizer_.id_of("<|end|>"), 261);
  EXPECT_EQ(tokenizer_.id_of("oĠw"), 259);
  EXPECT_EQ(tokenizer_.id_of("o w"), std::nullopt);
  EXPECT_EQ(tokenizer_.id_of(""), std::nullopt);
  EXPECT_EQ(tokenizer_.token_bytes(259), "o w");
  EXPECT_EQ(tokenizer_.token_bytes(0xff), "\xff");
  EXPECT_TRUE(tokenizer_.is_special(261));
  for (const std::int32_t id : {262, 0, -1, 263}) EXPECT_FALSE(tokenizer_.is_special(id)) << id;
}

TEST_F(Small, RefusesIdsThatDoNotExist) {
  for (const std::int32_t id : {-1, 263, std::numeric_limits<std::int32_t>::min()}) {
    const std::string message = "there is no token " + std::to_string(id) + ": ids go from 0 to 262";
    EXPECT_EQ(error_of([&] { (void)tokenizer_.decode(Ids{id}); }), message);
    EXPECT_EQ(error_of([&] { (void)tokenizer_.token_bytes(id); }), message);
    StreamDecoder stream(tokenizer_);
    EXPECT_EQ(error_of([&] { (void)stream.push(id); }), message);
  }
}

TEST_F(Small, StreamsWholeCharacters) {
  StreamDecoder stream(tokenizer_);
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xf0), "");
  EXPECT_EQ(stream.push(0x9f), "");
  EXPECT_EQ(stream.push(261), "");
  EXPECT_EQ(stream.push(0x98), "");
  EXPECT_EQ(stream.push(0x80), "😀");
  EXPECT_EQ(stream.push(0xe4), "");
  EXPECT_EQ(stream.push('b'), "\ufffdb");
  EXPECT_EQ(stream.push(0xe4), "");
  EXPECT_EQ(stream.finish(), "\ufffd");
  EXPECT_EQ(stream.finish(), "");
}

/// Byte-pair encoding as its definition reads: again and again, the first merge of the list that applies
/// anywhere, where it applies first.
Ids encode_word_slowly(const TokenizerData& data, const Tokenizer& tokenizer, std::string_view word) {
  Ids ids;
  for (const char byte : word)
    ids.push_back(*tokenizer.id_of(spelling_of_byte(static_cast<std::uint8_t>(byte))));
  for (bool merged = true; merged;) {
    merged = false;
    for (const auto& merge : data.merges) {
      for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
        if (ids[i] != merge.left || ids[i + 1] != merge.right) continue;
        ids[i] = merge.result;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        merged = true;
        break;
      }
      if (merged) break;
    }
  }
  return ids;
}

/// Words of all lengths around the one at which the algorithm changes (96).
TEST(Tokenizer, MergesAsTheDefinitionSays) {
  const TokenizerData data = TokenizerData::from_json(shipped_tokenizer_json());
  const Tokenizer tokenizer(data);
  std::mt19937 random(13);
  for (int length = 1; length < 140; length += length < 90 || length > 100 ? 7 : 1) {
    for (const char* letters : {"ab", "the", "aeinorst"}) {
      std::string word;
      for (int i = 0; i < length; ++i) word += letters[random() % std::string_view(letters).size()];
      ASSERT_EQ(tokenizer.encode(word), encode_word_slowly(data, tokenizer, word)) << word;
    }
  }
}

/// A megabyte of anything takes well under a second; what is quadratic takes hours.
TEST(Tokenizer, TakesHostileTexts) {
  const Tokenizer tokenizer(TokenizerData::from_json(shipped_tokenizer_json()));
  constexpr std::size_t kSize = 1'000'000;
  const auto repeated = [](std::string_view unit) {
    std::string text;
    while (text.size() < kSize) text += unit;
    return text;
  };
  for (const std::string_view unit :
       {"a", " ", "\n", "ab", "\u0301", "\u0316\u0301", "'", "<|im_start", "<", "9", "!", "\xff", "中", " \n",
        "\r", "the", "'s", "\u1100", "\xf0\x9f"}) {
    const std::string text = repeated(unit);
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = tokenizer.encode(text);
    const std::string back = tokenizer.decode(ids);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << unit;
    EXPECT_GE(back.size(), kSize / 3) << unit;
  }
}

TEST(Tokenizer, IsSharedBetweenThreads) {
  const Tokenizer tokenizer(TokenizerData::from_json(shipped_tokenizer_json()));
  const std::string text =
      file_contents(shipped_tokenizer_json().parent_path() / "heldout.txt").substr(0, 50'000);
  std::vector<Ids> results(4);
  {
    std::vector<std::jthread> threads;
    for (Ids& result : results) threads.emplace_back([&] { result = tokenizer.encode(text); });
  }
  for (const Ids& result : results) EXPECT_EQ(result, tokenizer.encode(text));
  EXPECT_EQ(tokenizer.decode(results[0], true), text);
}

}  // namespace
}  // namespace lattice
