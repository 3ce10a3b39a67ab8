#include "cli/reasoning.h"

#include <string>

#include <gtest/gtest.h>

namespace lattice::cli {
namespace {

struct Split {
  std::string reasoning;
  std::string answer;
  bool operator==(const Split&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Split& split) {
  return out << '{' << split.reasoning << '|' << split.answer << '}';
}

/// `text` through a splitter in two pieces, cut at `cut`.
Split split_at(const std::string& text, std::size_t cut, bool starts_inside) {
  ReasoningSplitter splitter(starts_inside);
  Split out;
  const auto take = [&out](const ReasoningSplitter::Parts& parts) {
    out.reasoning += parts.reasoning;
    out.answer += parts.answer;
  };
  take(splitter.push(text.substr(0, cut)));
  take(splitter.push(text.substr(cut)));
  take(splitter.finish());
  return out;
}

void expect_split(const std::string& text, bool starts_inside, const Split& expected) {
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(split_at(text, cut, starts_inside), expected) << text << " cut at " << cut;
  }
}

TEST(Reasoning, EndsAtItsTagWhereverTheTextIsCut) {
  expect_split("so it is\n</think>\n\nYes.", true, {"so it is", "Yes."});
  expect_split("</think>Yes.", true, {"", "Yes."});
  expect_split("a < b </thin c</think> d", true, {"a < b </thin c", "d"});
}

TEST(Reasoning, BeginsWithItsTagAtTheBeginningAlone) {
  expect_split("<think>\nhm\n</think>\n\nYes.\n\nNo.", false, {"hm", "Yes.\n\nNo."});
  expect_split("\n<think>hm</think>Yes", false, {"hm", "Yes"});
  expect_split("Yes: <think> is a tag </think>", false, {"", "Yes: <think> is a tag </think>"});
}

TEST(Reasoning, MayNeverEnd) {
  expect_split("and then </thi", true, {"and then </thi", ""});
  expect_split("<thin", false, {"", "<thin"});
  expect_split("", true, {"", ""});
}

TEST(Reasoning, IsOpenWhereThePromptEndsWithItsTag) {
  EXPECT_TRUE(ends_inside_reasoning("assistant\n<think>\n"));
  EXPECT_FALSE(ends_inside_reasoning("assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(ends_inside_reasoning(" \n"));
  EXPECT_FALSE(ends_inside_reasoning(""));
}

}  // namespace
}  // namespace lattice::cli
