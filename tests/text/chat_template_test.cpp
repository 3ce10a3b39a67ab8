#include "text/chat_template.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lattice/error.hpp"

namespace lattice {
namespace {

using Json = nlohmann::json;

const std::map<std::string, ChatDialect> kDialects{
    {"qwen3.5", {.thinks_by_default = true, .json_arguments = false}},
    {"qwen3.5-small", {.thinks_by_default = false, .json_arguments = false}},
    {"qwen3.6", {.thinks_by_default = true, .json_arguments = true}},
};

/// tests/data/text/chat_template.json, which tools/make_chat_fixtures.py wrote, or the file that
/// LATTICE_CHAT_FIXTURE names (that script's --random).
Json fixture() {
  const char* other = std::getenv("LATTICE_CHAT_FIXTURE");
  const std::filesystem::path path =
      other != nullptr ? std::filesystem::path(other)
                       : std::filesystem::path(LATTICE_SOURCE_DIR) / "tests/data/text/chat_template.json";
  std::ifstream file(path);
  return Json::parse(file);
}

std::vector<ChatMessage> messages_of(const Json& entries) {
  std::vector<ChatMessage> messages;
  for (const Json& entry : entries) {
    ChatMessage message{entry.at("role"), entry.at("content"), {}, {}};
    if (entry.contains("reasoning")) message.reasoning = entry["reasoning"].get<std::string>();
    for (const Json& call : entry.value("tool_calls", Json::array())) {
      message.tool_calls.push_back({call.at("name"), call.at("arguments")});
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

ChatOptions options_of(const Json& entry) {
  ChatOptions options;
  options.add_generation_prompt = entry.at("generation");
  if (entry.contains("thinking")) options.enable_thinking = entry["thinking"].get<bool>();
  options.tools = entry.at("tools").get<std::vector<std::string>>();
  return options;
}

TEST(ChatTemplate, RendersAsHuggingFaceDoes) {
  const Json recorded = fixture();
  std::set<std::string> names;
  int errors = 0;
  for (const Json& entry : recorded.at("cases")) {
    const std::string dialect = entry.at("template");
    const std::string name = dialect + ": " + entry.at("name").get<std::string>();
    names.insert(name);
    const ChatTemplate chat_template(kDialects.at(dialect));
    try {
      const std::string text = chat_template.render(messages_of(entry.at("messages")), options_of(entry));
      EXPECT_EQ(text, entry.value("text", "an error: " + entry.value("error", ""))) << name;
    } catch (const Error& error) {
      ++errors;
      EXPECT_EQ(error.what(), entry.value("error", "no error")) << name;
      EXPECT_EQ(error.kind(), Error::Kind::kUsage) << name;
    }
  }
  EXPECT_GE(names.size(), 80U);
  EXPECT_GE(errors, 10);
}

std::string error_of(const std::vector<ChatMessage>& messages, const ChatOptions& options = {}) {
  try {
    (void)ChatTemplate(ChatDialect{}).render(messages, options);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(ChatTemplate, NamesTheToolThatIsNoJsonObject) {
  const std::vector<ChatMessage> messages{{"user", "a", {}, {}}};
  const auto error_of_tool = [&](const std::string& tool) {
    ChatOptions options;
    options.tools = {"{}", tool};
    return error_of(messages, options);
  };
  EXPECT_EQ(error_of_tool("[]"), "tools[1]: not a JSON object");
  EXPECT_EQ(error_of_tool("\"f\""), "tools[1]: not a JSON object");
  EXPECT_EQ(error_of_tool(R"({"a":1,"a":2})"), "tools[1]: the key \"a\" occurs twice in one JSON object");
  for (const std::string tool :
       {"", "{", "{\"a\":NaN}", "{\"a\":1e999}", "{\"a\":\"\xff\"}", "{\"\\ud800\":1}"}) {
    EXPECT_TRUE(error_of_tool(tool).starts_with("tools[1]: not valid JSON")) << error_of_tool(tool);
  }
  EXPECT_EQ(error_of_tool("{\"a\":" + std::string(100000, '[')),
            "tools[1]: JSON is nested deeper than 64 levels");
}

TEST(ChatTemplate, NamesTheCallWhoseArgumentsAreNoJsonObject) {
  const auto error_of_call = [&](const std::string& arguments) {
    return error_of({{"user", "a", {}, {}}, {"assistant", "", {}, {{"f", "{}"}, {"g", arguments}}}});
  };
  EXPECT_EQ(error_of_call("{}"), "");
  EXPECT_EQ(error_of_call("null"), "messages[1].tool_calls[1].arguments: not a JSON object");
  EXPECT_TRUE(error_of_call("{'a':1}").starts_with("messages[1].tool_calls[1].arguments: not valid JSON"));
}

TEST(ChatTemplate, TakesEmptyArgumentsAsNone) {
  const ChatTemplate chat_template(ChatDialect{});
  const auto text = [&](const std::string& arguments) {
    return chat_template.render({{"user", "a", {}, {}}, {"assistant", "", {}, {{"f", arguments}}}});
  };
  EXPECT_EQ(text(""), text("{}"));
}

TEST(ChatTemplate, PassesBytesThatAreNotUtf8Through) {
  const std::string text = ChatTemplate(ChatDialect{}).render({{"user", " \xff\xe2\x80 \x85 ", {}, {}}});
  EXPECT_NE(text.find("user\n\xff\xe2\x80 \x85<|im_end|>"), std::string::npos);
}

}  // namespace
}  // namespace lattice
