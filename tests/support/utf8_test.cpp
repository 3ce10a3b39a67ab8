#include "support/utf8.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace lattice {
namespace {

std::string encode(std::uint32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xc0 | (c >> 6)), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xe0 | (c >> 12)), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | (c >> 18)), tail(12), tail(6), tail(0)};
}

TEST(Utf8, AcceptsEveryScalarValueAndNothingElse) {
  for (std::uint32_t c = 0; c < 0x120000; ++c) {
    const bool scalar = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
    const std::string bytes = encode(c);
    ASSERT_EQ(utf8_sequence_length(bytes), scalar ? bytes.size() : 0) << std::hex << c;
    if (bytes.size() > 1) {
      ASSERT_FALSE(is_utf8(bytes.substr(0, bytes.size() - 1))) << std::hex << c;
    }
  }
}

TEST(Utf8, RejectsOverlongFormsAndStrayBytes) {
  for (const char* bad : {"\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\x80", "\xbf",
                          "\xf5\x80\x80\x80", "\xff", "\xe2\x28\xa1", "\xf0\x90\x28\xbc"}) {
    EXPECT_EQ(utf8_sequence_length(bad), 0u);
    EXPECT_FALSE(is_utf8(std::string("ok") + bad));
  }
  EXPECT_TRUE(is_utf8(""));
}

}  // namespace
}  // namespace lattice
