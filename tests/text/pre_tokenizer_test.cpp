#include "text/pre_tokenizer.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <gtest/gtest.h>
#include <pcre2.h>

#include "text/random_text.h"

namespace lattice {
namespace {

using Words = std::vector<std::string>;

Words scan(const PreTokenizer& pre_tokenizer, std::string_view text) {
  Words words;
  while (!text.empty()) {
    const std::size_t length = pre_tokenizer.word_length(text);
    if (length == 0 || length > text.size()) throw std::logic_error("word of impossible length");
    words.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return words;
}

/// The pattern as PCRE2 runs it, with Unicode's classes and case folding.
class Regex {
 public:
  explicit Regex(std::string_view pattern) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
    if (!code_) throw std::logic_error("the pattern does not compile");
    match_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
  }

  [[nodiscard]] Words split(const std::string& text) const {
    Words words;
    for (std::size_t at = 0; at < text.size();) {
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                    PCRE2_ANCHORED, match_.get(), nullptr);
      if (found < 1) throw std::logic_error("the pattern does not match");
      const std::size_t end = pcre2_get_ovector_pointer(match_.get())[1];
      words.push_back(text.substr(at, end - at));
      at = end;
    }
    return words;
  }

 private:
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code_{nullptr, pcre2_code_free};
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match_{nullptr, pcre2_match_data_free};
};

class PreTokenizers : public testing::TestWithParam<PreTokenizerKind> {};

TEST_P(PreTokenizers, AreTheRegularExpression) {
  const PreTokenizer pre_tokenizer(GetParam());
  const Regex regex(pattern_of(GetParam()));
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = random_text(random, 1 + random() % 24);
    ASSERT_EQ(scan(pre_tokenizer, text), regex.split(text)) << testing::PrintToString(text);
  }
}

/// All texts of up to five characters, one from each class.
TEST_P(PreTokenizers, AreTheRegularExpressionOnAllShortTexts) {
  const PreTokenizer pre_tokenizer(GetParam());
  const Regex regex(pattern_of(GetParam()));
  const Words alphabet = {" ", "\n", "\xc2\xa0", "'", "s", "\xcc\x81", "7", "!"};
  Words texts = {""};
  for (int length = 1; length <= 5; ++length) {
    Words longer;
    for (const std::string& text : texts) {
      for (const std::string& character : alphabet) {
        longer.push_back(text + character);
        ASSERT_EQ(scan(pre_tokenizer, longer.back()), regex.split(longer.back()))
            << testing::PrintToString(longer.back());
      }
    }
    texts = std::move(longer);
  }
}

TEST_P(PreTokenizers, CutAsExpected) {
  const PreTokenizer pre_tokenizer(GetParam());
  EXPECT_EQ(scan(pre_tokenizer, "It's 42  times,\n\n ok?"),
            (Words{"It", "'s", " ", "4", "2", " ", " times", ",\n\n", " ok", "?"}));
  EXPECT_EQ(scan(pre_tokenizer, "a'LL'Ve'\xc5\xbf'x"), (Words{"a", "'LL", "'Ve", "'\xc5\xbf", "'x"}));
  EXPECT_EQ(scan(pre_tokenizer, "  \n \t x   "), (Words{"  \n", " \t", " x", "   "}));
}

TEST(PreTokenizer, MarksGoWithLettersForQwen35Alone) {
  const std::string text = "q\u0307\u0323w";
  EXPECT_EQ(scan(PreTokenizer(PreTokenizerKind::kQwen35), text), (Words{text}));
  EXPECT_EQ(scan(PreTokenizer(PreTokenizerKind::kQwen2), text), (Words{"q", "\u0307\u0323", "w"}));
}

INSTANTIATE_TEST_SUITE_P(Kinds, PreTokenizers,
                         testing::Values(PreTokenizerKind::kQwen2, PreTokenizerKind::kQwen35),
                         [](const auto& suite) { return std::string(gguf_name_of(suite.param)); });

}  // namespace
}  // namespace lattice
