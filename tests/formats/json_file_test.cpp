#include "formats/json_file.h"

#include <string>

#include <gtest/gtest.h>

#include "formats/fixtures.h"

namespace lattice {
namespace {

std::string parse_error(std::string_view text, const JsonLimits& limits = {}) {
  return error_of([&] { (void)parse_json(text, "x.json", limits); });
}

TEST(ParseJson, BuildsWhatTheLibraryWouldBuild) {
  const std::string text =
      R"( {"a": [1, -2, 3.5, true, null, "grüße \u00e9\n", {}], "b": {"c": {"d": []}}, "": 18446744073709551615} )";
  EXPECT_EQ(parse_json(text, "x.json"), nlohmann::json::parse(text));
  EXPECT_EQ(parse_json("[[],[[]],{\"a\":[{}]}]", "x.json"), nlohmann::json::parse("[[],[[]],{\"a\":[{}]}]"));
  EXPECT_EQ(parse_json("7", "x.json"), 7);
}

TEST(ParseJson, SaysWhereAndWhy) {
  EXPECT_EQ(parse_error("{\n  \"a\": tru\n}"),
            "x.json: not valid JSON at line 2, column 11: invalid literal");
  EXPECT_NE(parse_error("{\"a\": 1").find("line 1, column 8: unexpected end of input"), std::string::npos);
  EXPECT_NE(parse_error("").find("line 1, column 1: unexpected end of input"), std::string::npos);
  EXPECT_NE(parse_error("{} x").find("not valid JSON at line 1, column 4"), std::string::npos);
  EXPECT_NE(parse_error("[1e999]").find("a number is out of range"), std::string::npos);
  EXPECT_NE(parse_error("[NaN]").find("invalid literal"), std::string::npos);
}

TEST(ParseJson, RejectsInvalidUtf8AndUnpairedSurrogates) {
  EXPECT_NE(parse_error("[\"\xff\"]").find("ill-formed UTF-8"), std::string::npos);
  EXPECT_NE(parse_error(R"(["\ud800"])").find("surrogate"), std::string::npos);
}

TEST(ParseJson, RejectsAKeyThatOccursTwice) {
  EXPECT_EQ(parse_error(R"({"a": {"b": 1, "c": 2, "b": 3}})"),
            "x.json: the key \"b\" occurs twice in one JSON object");
  EXPECT_EQ(parse_error(R"({"a": {"b": 1}, "b": 2})"), "");
}

TEST(ParseJson, LimitsDepthSizeAndCount) {
  const std::string open(100'000, '[');
  EXPECT_EQ(parse_error(open), "x.json: JSON is nested deeper than 64 levels");
  EXPECT_EQ(parse_error(open + std::string(100'000, ']')), "x.json: JSON is nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(parse_error(objects), "x.json: JSON is nested deeper than 64 levels");
  EXPECT_EQ(parse_error(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_NE(parse_error("[1,2,3]", {.max_bytes = 6}).find("JSON of 7 bytes is larger than"),
            std::string::npos);
  EXPECT_EQ(parse_error("[1,2,3]", {.max_values = 4}), "");
  EXPECT_EQ(parse_error("[1,2,3]", {.max_values = 3}), "x.json: JSON holds more than 3 values");
}

TEST(ParseJson, MessagesStayShort) {
  const std::string text = "[\"" + std::string(1'000'000, 'x') + "\x01\"]";
  EXPECT_LT(parse_error(text).size(), 300u);
  EXPECT_LT(parse_error("[" + std::string(1'000'000, '9') + "e99999]").size(), 300u);
}

TEST(ParseJson, TruncationAtAnyByteIsAnError) {
  const std::string text = R"({"a":[1,2.5e3,"\u00e9ü"],"b":{"c":null,"d":false}})";
  ASSERT_EQ(parse_error(text), "");
  for (std::size_t size = 0; size < text.size(); ++size) {
    ASSERT_TRUE(parse_error(text.substr(0, size)).starts_with("x.json: not valid JSON")) << size;
  }
}

TEST(LoadJsonFile, NamesTheFile) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "config.json";
  write_file(path, "{\"a\": 1}");
  EXPECT_EQ(load_json_file(path).at("a"), 1);
  write_file(path, "{\"a\": ");
  EXPECT_TRUE(error_of([&] { (void)load_json_file(path); }).starts_with(path.string() + ": not valid JSON"));
}

}  // namespace
}  // namespace lattice
