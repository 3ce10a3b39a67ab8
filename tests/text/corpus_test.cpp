// Holds the tokenizer against what Hugging Face's made of tests/data/text/corpus.json (tools/
// make_tokenizer_fixtures.py), with the shipped vocabulary and, where they are there, Qwen3's and Qwen3.5's.
#include <algorithm>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "formats/json_file.h"
#include "support/utf8.h"
#include "text/vocabularies.h"

namespace lattice {
namespace {

using Ids = std::vector<std::int32_t>;

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

class Corpus : public testing::TestWithParam<const char*> {
 protected:
  struct Case {
    std::string name;
    std::string bytes;
    Ids ids;
    std::string text;  // of the ids, without special tokens
  };

  void SetUp() override {
    tokenizer_ = open_vocabulary(GetParam());
    if (tokenizer_ == nullptr) GTEST_SKIP() << "the vocabulary is not in " << shared_tokenizers();
    const auto json =
        load_json_file(std::filesystem::path(LATTICE_SOURCE_DIR) / "tests/data/text/corpus.json");
    for (const auto& entry : json.at("texts")) {
      const auto& expected = entry.at(GetParam());
      cases_.push_back({entry.at("name"), bytes_of_hex(entry.at("bytes")), expected.at("ids").get<Ids>(),
                        expected.at("text")});
    }
    ASSERT_GT(cases_.size(), 80u);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Case> cases_;
};

TEST_P(Corpus, EncodesIdForId) {
  for (const Case& c : cases_) EXPECT_EQ(tokenizer_->encode(c.bytes), c.ids) << c.name;
}

TEST_P(Corpus, DecodesByteForByte) {
  for (const Case& c : cases_) EXPECT_EQ(tokenizer_->decode(c.ids), c.text) << c.name;
}

TEST_P(Corpus, StreamsTheSameText) {
  for (const Case& c : cases_) {
    StreamDecoder stream(*tokenizer_);
    std::string text;
    for (const std::int32_t id : c.ids) {
      const std::string piece = stream.push(id);
      EXPECT_TRUE(is_utf8(piece)) << c.name;
      text += piece;
    }
    text += stream.finish();
    EXPECT_EQ(text, c.text) << c.name;
  }
}

/// Ids as no text has them: characters broken off and joined wrongly.
TEST_P(Corpus, StreamsRandomIdsAsTheyAreDecodedAtOnce) {
  std::mt19937 random(1);
  std::uniform_int_distribution<std::int32_t> any_id(0, static_cast<std::int32_t>(tokenizer_->size() - 1));
  std::uniform_int_distribution<std::int32_t> byte_id(0,
                                                      255);  // in all three, the first ids are single bytes
  for (int round = 0; round < 2000; ++round) {
    Ids ids;
    for (int i = 0; i < 1 + round % 20; ++i)
      ids.push_back(random() % 4 == 0 ? any_id(random) : byte_id(random));
    for (const bool with_special : {false, true}) {
      StreamDecoder stream(*tokenizer_, with_special);
      std::string text;
      for (const std::int32_t id : ids) {
        const std::string piece = stream.push(id);
        ASSERT_TRUE(is_utf8(piece));
        text += piece;
      }
      ASSERT_EQ(text + stream.finish(), tokenizer_->decode(ids, with_special));
    }
  }
}

/// Decoding what was encoded gives back any text that is UTF-8 and normalised.
TEST_P(Corpus, DecodingUndoesEncoding) {
  for (const Case& c : cases_) {
    const std::string text = tokenizer_->decode(c.ids, true);
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text), true), text) << c.name;
  }
}

/// llama.cpp's own vectors for this vocabulary. That project does not normalise, which some of them show.
TEST(LlamaCppVectors, Qwen35) {
  if (!std::filesystem::exists(qwen35_gguf())) {
    GTEST_SKIP() << "the vocabulary is not in " << shared_tokenizers();
  }
  TokenizerData data = TokenizerData::from_gguf(*Checkpoint::open(qwen35_gguf()));
  data.normalizer = NormalizerKind::kNone;
  const Tokenizer tokenizer(data);
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string texts = file_contents(qwen35_gguf().string() + ".inp");
  std::istringstream lines(file_contents(qwen35_gguf().string() + ".out"));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    std::istringstream numbers(line);
    const Ids expected{std::istream_iterator<std::int32_t>(numbers), {}};
    const std::size_t end = std::min(texts.find(separator), texts.size());
    const std::string text = texts.substr(0, end);
    texts.erase(0, end + separator.size());
    EXPECT_EQ(tokenizer.encode(text), expected) << text;
  }
  EXPECT_GT(count, 40);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, Corpus, testing::Values("tinystories", "qwen3", "qwen35"),
                         [](const auto& suite) { return std::string(suite.param); });

}  // namespace
}  // namespace lattice
