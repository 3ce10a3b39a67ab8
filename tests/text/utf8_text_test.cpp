#include "text/utf8_text.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace lattice {
namespace {

using namespace std::string_view_literals;

TEST(ReplacingInvalid, ReplacesMaximalSubparts) {
  const std::vector<std::pair<std::string_view, std::string_view>> cases = {
      {""sv, ""sv},
      {"a\0b"sv, "a\0b"sv},
      {"日本"sv, "日本"sv},
      {"\xff"sv, "\ufffd"sv},
      {"\x80\x80"sv, "\ufffd\ufffd"sv},
      // The Unicode Standard, tables 3-8 to 3-11.
      {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"sv, "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\x41"sv},
      {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"sv, "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\x41"sv},
      {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"sv, "\ufffd\ufffd\ufffd\ufffd\ufffd\x41\ufffd\ufffd\x42"sv},
      {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"sv, "\ufffd\ufffd\ufffd\ufffd\x41"sv},
      // Ends too early.
      {"a\xe4\xb8"sv, "a\ufffd"sv},
      {"\xf0\x9f\x98"sv, "\ufffd"sv},
      {"\xf0\x80\x80"sv, "\ufffd\ufffd\ufffd"sv},
      {"\xf5\x80"sv, "\ufffd\ufffd"sv},
      {"\xed\xa0"sv, "\ufffd\ufffd"sv},
  };
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(replacing_invalid(bytes), text) << testing::PrintToString(bytes);
  }
}

TEST(AppendReplacing, KeepsWhatMayStillBecomeACharacter) {
  const std::vector<std::pair<std::string_view, std::size_t>> cases = {
      {""sv, 0},         {"a"sv, 0},        {"\xc3"sv, 1},     {"a\xe4\xb8"sv, 2}, {"\xf0\x9f\x98"sv, 3},
      {"\xf0\x90"sv, 2}, {"\xf0\x80"sv, 0}, {"\xed\xa0"sv, 0}, {"\xed\x9f"sv, 2},  {"\xf4\x90"sv, 0},
      {"\xf4\x8f"sv, 2}, {"\xf5"sv, 0},     {"\xc1"sv, 0},     {"\xe0"sv, 1},      {"\xe0\x9f"sv, 0},
      {"\x80"sv, 0},     {"\xff\xe4"sv, 1}, {"\xe4\xe4"sv, 1}};
  for (const auto& [bytes, kept] : cases) {
    std::string text;
    EXPECT_EQ(append_replacing(text, bytes), kept) << testing::PrintToString(bytes);
  }
}

/// Every split of every string of three bytes from a set that has all kinds.
TEST(AppendReplacing, GivesTheSameTextInAnySplit) {
  constexpr std::string_view kBytes = "a\x80\x8f\x90\x9f\xa0\xbf\xc1\xc3\xe0\xe4\xed\xf0\xf1\xf4\xf5"sv;
  std::string bytes(4, '\0');
  for (std::size_t i = 0; i < kBytes.size() * kBytes.size() * kBytes.size() * kBytes.size(); ++i) {
    for (std::size_t j = 0, rest = i; j < bytes.size(); ++j, rest /= kBytes.size()) {
      bytes[j] = kBytes[rest % kBytes.size()];
    }
    std::string text;
    std::string pending;
    for (const char byte : bytes) {
      pending += byte;
      const std::size_t kept = append_replacing(text, pending);
      ASSERT_LE(kept, 3u);
      pending.erase(0, pending.size() - kept);
    }
    if (!pending.empty()) text += kReplacement;
    ASSERT_EQ(text, replacing_invalid(bytes)) << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace lattice
