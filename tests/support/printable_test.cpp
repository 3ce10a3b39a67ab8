#include "support/printable.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace lattice {
namespace {

using namespace std::string_view_literals;

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(printable("blk.0.attn_q.weight"), "\"blk.0.attn_q.weight\"");
  EXPECT_EQ(printable("naïve 日本 🙂"), "\"naïve 日本 🙂\"");
  EXPECT_EQ(printable(""), "\"\"");
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("a\x1b[2Jb\nc\0d\x7f"sv), R"("a\x1b[2Jb\nc\x00d\x7f")");
  EXPECT_EQ(printable("\xc2\x9b"), R"("\xc2\x9b")");  // U+009B, a one-character CSI
  EXPECT_EQ(printable("say \"hi\" \\"), R"("say \"hi\" \\")");
}

TEST(Printable, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(printable("\xff\xc3"), R"("\xff\xc3")");
  EXPECT_EQ(printable("\xed\xa0\x80"), R"("\xed\xa0\x80")");
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "\"abc…\"");
  EXPECT_EQ(printable("ab日本", 4), "\"ab…\"");
  EXPECT_EQ(printable("ab日", 5), "\"ab日\"");
  EXPECT_EQ(printable(std::string(1 << 20, 'x')).size(), 80 + 2 + "…"sv.size());
}

}  // namespace
}  // namespace lattice
