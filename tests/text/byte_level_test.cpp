#include "text/byte_level.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace lattice {
namespace {

TEST(ByteLevel, SpellsAsGpt2Does) {
  EXPECT_EQ(spelling_of_bytes(" the\n"), "ĠtheĊ");
  EXPECT_EQ(spelling_of_bytes("\t\r"), "ĉč");
  EXPECT_EQ(spelling_of_bytes("é"), "Ã©");
  EXPECT_EQ(spelling_of_bytes(std::string("\0\x7f\xad\xff", 4)), "ĀġŃÿ");
}

TEST(ByteLevel, IsABijection) {
  std::set<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const std::string spelling = spelling_of_bytes(bytes);
    EXPECT_EQ(bytes_of_spelling(spelling), bytes);
    spellings.insert(spelling);
  }
  EXPECT_EQ(spellings.size(), 256u);
}

TEST(ByteLevel, RejectsWhatIsNotOfTheAlphabet) {
  for (const char* text : {" ", "a b", "\n", "\xad", "ń\x80", "Ņ", "日", "\xc4", "\xe4\xb8\xad", "­"}) {
    EXPECT_EQ(bytes_of_spelling(text), std::nullopt) << text;
  }
  EXPECT_EQ(bytes_of_spelling(""), "");
}

}  // namespace
}  // namespace lattice
