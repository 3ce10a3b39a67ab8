#include "cli/units.h"

#include <gtest/gtest.h>

#include "cli/progress.h"
#include "cli/terminal.h"

namespace lattice::cli {
namespace {

TEST(Units, BytesHaveThreeDigitsAndADecimalUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(999.7), "1.00 kB");
  EXPECT_EQ(format_bytes(54.7e6), "54.7 MB");
  EXPECT_EQ(format_bytes(999.96e6), "1.00 GB");
  EXPECT_EQ(format_bytes(8.7e16), "87000 TB");
}

TEST(Units, CountsHaveCommas) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(-123456), "-123,456");
  EXPECT_EQ(format_count(INT64_MAX), "9,223,372,036,854,775,807");
}

TEST(Units, FiguresHaveThreeDigits) {
  EXPECT_EQ(format_figure(0), "0");
  EXPECT_EQ(format_figure(0.1234), "0.123");
  EXPECT_EQ(format_figure(9.994), "9.99");
  EXPECT_EQ(format_figure(9.996), "10.0");
  EXPECT_EQ(format_figure(1732.4), "1732");
}

TEST(Units, SecondsGrowIntoHours) {
  EXPECT_EQ(format_seconds(0.0141), "14 ms");
  EXPECT_EQ(format_seconds(2.14), "2.1 s");
  EXPECT_EQ(format_seconds(187), "3:07 min");
  EXPECT_EQ(format_seconds(3720), "1:02:00 h");
}

TEST(ProgressLine, ShowsBarPercentageRateAndTime) {
  EXPECT_EQ(progress_line("loading", 500, 1000, 2.0, ProgressUnit::kBytes, 100),
            "loading  [############------------]   50 %  250 B/s  2.0 s left");
  EXPECT_EQ(progress_line("prefill", 1000, 1000, 2.0, ProgressUnit::kTokens, 100),
            "prefill  [########################]  100 %  500 tok/s  0 ms left");
}

TEST(ProgressLine, SurvivesNonsenseAndFitsTheTerminal) {
  EXPECT_NE(progress_line("x", 5, 0, 0, ProgressUnit::kBytes, 100).find("100 %"), std::string::npos);
  EXPECT_NE(progress_line("x", -5, 10, 1, ProgressUnit::kBytes, 100).find("0 %"), std::string::npos);
  for (const int columns : {0, 1, 20, 40}) {
    const auto width = progress_line("loading", 1, 3, 1, ProgressUnit::kBytes, columns).size();
    EXPECT_LT(width, static_cast<std::size_t>(std::max(columns, 1)));
  }
}

TEST(Terminal, ShowsNoControlCharacterOfAModel) {
  EXPECT_EQ(without_controls("a\tb\nc é 日"), "a\tb\nc é 日");
  EXPECT_EQ(without_controls("\x1b[2J"), "\uFFFD[2J");
  EXPECT_EQ(without_controls("\r\x7f\xc2\x9b"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(without_controls("\xff\xc3"), "\uFFFD\uFFFD");
}

TEST(Terminal, MeasuresWhatAppears) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("\xff"), 1u);
}

}  // namespace
}  // namespace lattice::cli
