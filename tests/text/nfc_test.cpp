#include "text/nfc.h"

#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "text/random_text.h"

namespace lattice {
namespace {

std::string nfc(const std::string& text) {
  static const Nfc normalizer;
  std::string buffer;
  return std::string(normalizer.normalize(text, buffer));
}

std::string nfc_by_utf8proc(const std::string& text) {
  utf8proc_uint8_t* result = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &result,
                                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  std::string normalized(reinterpret_cast<const char*>(result), static_cast<std::size_t>(length));
  std::free(result);  // NOLINT: utf8proc allocates with malloc
  return normalized;
}

TEST(Nfc, ComposesAndOrders) {
  EXPECT_EQ(nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(nfc("\u212b \u2126"), "\u00c5 \u03a9");
  EXPECT_EQ(nfc("q\u0307\u0323"), "q\u0323\u0307");
  EXPECT_EQ(nfc("\u00c0\u0325"), "\u1e00\u0300");
  EXPECT_EQ(nfc("\u1112\u1161\u11ab"), "\ud55c");
  EXPECT_EQ(nfc("\uac00\u11a8x"), "\uac01x");
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093c");
  EXPECT_EQ(nfc(">\u0338"), "\u226f");
  EXPECT_EQ(nfc("\u0301e\u0301"), "\u0301\u00e9");
}

TEST(Nfc, LeavesNormalizedTextWhereItIs) {
  const Nfc normalizer;
  for (const std::string text : {"", "plain", "\u00e9\u4e2d\u6587 \ud55c\uae00", "e", "\U0001f600"}) {
    std::string buffer;
    EXPECT_EQ(normalizer.normalize(text, buffer).data(), text.data()) << text;
  }
}

/// U+105D2 U+0307 is composed from Unicode 16 on, and U+0898 has a combining class from 14 on; Hugging Face's
/// tokenizers are older, and so are the models.
TEST(Nfc, LeavesCharactersAloneThatAreNewerThanTheReference) {
  EXPECT_EQ(nfc("\U000105d2\u0307"), "\U000105d2\u0307");
  EXPECT_EQ(nfc("a\u0301\u0899"), "\u00e1\u0899");
  EXPECT_EQ(nfc("a\u0899\u0301"), "a\u0899\u0301");
}

TEST(Nfc, IsWhatUtf8procMakesOfTheWholeText) {
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = random_text(random, 1 + random() % 30);
    ASSERT_EQ(nfc(text), nfc_by_utf8proc(text)) << testing::PrintToString(text);
  }
}

/// In order of combining class these would take utf8proc's own sorting hours.
TEST(Nfc, TakesLongRunsOfMarks) {
  constexpr std::size_t kMarks = 200'000;
  std::string text = "a";
  std::string below;
  std::string above;
  for (std::size_t i = 0; i < kMarks; ++i) {
    text += "\u0306\u0316";
    below += "\u0316";
    above += "\u0306";
  }
  above.erase(0, 2);  // composed with the letter
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(nfc(text), "\u0103" + below + above);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

}  // namespace
}  // namespace lattice
