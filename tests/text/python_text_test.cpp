#include "text/python_text.h"

#include <string>

#include <gtest/gtest.h>

#include "lattice/error.hpp"

namespace lattice {
namespace {

TEST(PythonStrip, StripsWhatIsSpaceTrue) {
  EXPECT_EQ(python_strip(""), "");
  EXPECT_EQ(python_strip(" \u3000\u00a0"), "");
  EXPECT_EQ(python_strip("\u2003a b\u1680\n"), "a b");
  EXPECT_EQ(python_strip("\u200ba\ufeff"), "\u200ba\ufeff");  // zero width, but not white space
}

TEST(PythonStrip, LeavesBrokenUtf8) {
  EXPECT_EQ(python_strip("\x85"
                         "a\xa0"),
            "\x85"
            "a\xa0");
  EXPECT_EQ(python_strip("\xc2"), "\xc2");
  EXPECT_EQ(python_strip("\xe2\x80"), "\xe2\x80");
}

std::string dumped(const std::string& value) {
  const std::string text = python_json_object("{\"x\":" + value + "}", "test");
  return text.substr(6, text.size() - 7);  // without {"x": }
}

// What python3 -c 'import json; print(json.dumps(json.loads(…)))' prints.
TEST(PythonJson, WritesNumbersAsPythonDoes) {
  EXPECT_EQ(dumped("1.0"), "1.0");
  EXPECT_EQ(dumped("1E2"), "100.0");
  EXPECT_EQ(dumped("1e15"), "1000000000000000.0");
  EXPECT_EQ(dumped("1e16"), "1e+16");
  EXPECT_EQ(dumped("0.0001"), "0.0001");
  EXPECT_EQ(dumped("0.00001"), "1e-05");
  EXPECT_EQ(dumped("1.25e100"), "1.25e+100");
  EXPECT_EQ(dumped("-0"), "0");
  EXPECT_EQ(dumped("-0.0"), "-0.0");
  EXPECT_EQ(dumped("9007199254740993"), "9007199254740993");
  EXPECT_EQ(dumped("-123456789012345678901234567890"), "-123456789012345678901234567890");
}

TEST(PythonItems, SpellsScalarsInEitherForm) {
  const std::string json = R"({"t":true,"n":null,"s":"a\"b","l":[true,null,"a\"b"],"f":1e2})";
  const auto joined = [&](ItemForm form) {
    std::string out;
    for (const PythonItem& item : python_items(json, "test", form)) out += item.key + "=" + item.value + ";";
    return out;
  };
  EXPECT_EQ(joined(ItemForm::kStr), "t=True;n=None;s=a\"b;l=[true, null, \"a\\\"b\"];f=100.0;");
  EXPECT_EQ(joined(ItemForm::kJson), "t=true;n=null;s=a\"b;l=[true, null, \"a\\\"b\"];f=100.0;");
}

TEST(PythonItems, TakesObjectsAlone) {
  EXPECT_THROW((void)python_items("[]", "test", ItemForm::kStr), Error);
  EXPECT_TRUE(python_items("{}", "test", ItemForm::kStr).empty());
}

}  // namespace
}  // namespace lattice
