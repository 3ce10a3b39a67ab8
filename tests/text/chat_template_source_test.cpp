#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "formats/fixtures.h"
#include "formats/gguf_writer.h"
#include "text/chat_template.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

/// Qwen3.5-4B's own template, or nothing where this machine does not have it.
std::optional<std::string> real_template() {
  const char* shared = std::getenv("LATTICE_SHARED");
  const fs::path root = shared != nullptr ? fs::path(shared) : fs::path(LATTICE_SOURCE_DIR) / ".." / "shared";
  const fs::path path = root / "tokenizers/qwen35/chat_template-4B.jinja";
  if (!fs::exists(path)) return std::nullopt;
  return file_contents(path);
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  if (at == std::string::npos) throw Error("the template does not have " + std::string(from));
  return text.replace(at, from.size(), to);
}

class RealTemplate : public testing::Test {
 protected:
  void SetUp() override {
    const std::optional<std::string> text = real_template();
    if (!text) GTEST_SKIP() << "needs shared/tokenizers/qwen35/chat_template-4B.jinja (LATTICE_SHARED)";
    base_ = *text;
    small_ = replaced(base_, "is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}",
                      "is true %}\n        {{- '<think>\\n' }}");
    const std::string_view last = "{%- else %}\n        {{- '<think>\\n' }}";
    small_ = replaced(small_, last, "{%- else %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}");
    qwen36_ = replaced(base_,
                       "args_value | tojson | safe if args_value is mapping or (args_value is sequence and "
                       "args_value is not string) else args_value | string",
                       "args_value | string if args_value is string else args_value | tojson | safe");
    qwen36_ =
        replaced(qwen36_, "{%- if loop.index0 > ns.last_query_index %}",
                 "{%- if (preserve_thinking is defined and preserve_thinking is true) or (loop.index0 > "
                 "ns.last_query_index) %}");
  }

  std::string base_;
  std::string small_;
  std::string qwen36_;
};

TEST_F(RealTemplate, IsRecognised) {
  const ChatTemplate chat_template = ChatTemplate::recognise(base_, "test");
  EXPECT_EQ(chat_template.dialect(), (ChatDialect{.thinks_by_default = true, .json_arguments = false}));
  EXPECT_EQ(chat_template.warning(), "");
}

TEST_F(RealTemplate, OfTheSmallModelsIsRecognised) {
  const ChatTemplate chat_template = ChatTemplate::recognise(small_, "test");
  EXPECT_EQ(chat_template.dialect(), (ChatDialect{.thinks_by_default = false, .json_arguments = false}));
  EXPECT_EQ(chat_template.warning(), "");
}

TEST_F(RealTemplate, OfQwen36IsRecognised) {
  const ChatTemplate chat_template = ChatTemplate::recognise(qwen36_, "test");
  EXPECT_EQ(chat_template.dialect(), (ChatDialect{.thinks_by_default = true, .json_arguments = true}));
  EXPECT_EQ(chat_template.warning(), "");
}

TEST_F(RealTemplate, IsRecognisedWhateverItsLineEndsAndIndentation) {
  std::string text;
  for (const char c : small_) text += c == '\n' ? std::string("\r\n\n\t ") : std::string(1, c);
  const ChatTemplate chat_template = ChatTemplate::recognise(text + "\n", "test");
  EXPECT_EQ(chat_template.warning(), "");
  EXPECT_FALSE(chat_template.thinks_by_default());
}

TEST_F(RealTemplate, IsUnknownAfterAnyOtherChange) {
  const std::string text = replaced(small_, "Unexpected message role.", "Unexpected role.");
  const ChatTemplate chat_template = ChatTemplate::recognise(text, "test");
  EXPECT_NE(chat_template.warning(), "");
  EXPECT_FALSE(chat_template.thinks_by_default());  // what can be seen is honoured all the same
}

TEST(ChatTemplateSource, AnUnknownTemplateIsNamed) {
  const ChatTemplate chat_template = ChatTemplate::recognise("{{ messages }}", "model/chat_template.jinja");
  EXPECT_EQ(
      chat_template.warning(),
      "model/chat_template.jinja: not a chat template that is known, so Qwen3.5's is used in its place");
  EXPECT_TRUE(chat_template.thinks_by_default());
}

/// A directory that holds a model, to which a test adds its template.
class TemplateOfDirectory : public testing::Test {
 protected:
  void SetUp() override { fs::copy(fixture("hugging_face"), path(), fs::copy_options::recursive); }

  [[nodiscard]] const fs::path& path() const { return directory_.path(); }
  void write(const char* name, std::string_view contents) const { write_file(path() / name, contents); }
  [[nodiscard]] std::optional<ChatTemplate> found() const {
    return ChatTemplate::from(*Checkpoint::open(path()));
  }
  /// The place that the template was read from, as the warning names it.
  [[nodiscard]] std::string origin() const {
    const std::string warning = found().value().warning();
    const std::string prefix = path().string() + "/";
    if (!warning.starts_with(prefix)) return warning;
    return warning.substr(prefix.size(), warning.find(": not a chat template") - prefix.size());
  }
  [[nodiscard]] std::string error() const {
    return error_of([&] { (void)found(); });
  }

 private:
  TemporaryDirectory directory_;
};

TEST_F(TemplateOfDirectory, IsNoneForABaseModel) {
  EXPECT_FALSE(found());
  write("tokenizer_config.json", "{}");
  EXPECT_FALSE(found());
  write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_FALSE(found());
  write("tokenizer_config.json", R"({"chat_template": ""})");
  EXPECT_FALSE(found());
}

TEST(ChatTemplateSource, TheShippedModelHasNone) {
  const fs::path path = fs::path(LATTICE_SOURCE_DIR) / "models" / "tinystories-qwen35";
  EXPECT_FALSE(ChatTemplate::from(*Checkpoint::open(path)));
}

TEST_F(TemplateOfDirectory, IsInTheTokenizerConfig) {
  write("tokenizer_config.json", R"({"chat_template": "{{ enable_thinking }}"})");
  EXPECT_EQ(origin(), "tokenizer_config.json: chat_template");
}

TEST_F(TemplateOfDirectory, IsTheDefaultOfAList) {
  const std::string small =
      "{%- if enable_thinking is defined and enable_thinking is true %}\n{{- '<think>\\n' }}\n{%- else %}\n"
      "{{- '<think>\\n\\n</think>\\n\\n' }}\n{%- endif %}";
  write("tokenizer_config.json", nlohmann::json{{"chat_template",
                                                 {{{"name", "tool_use"}, {"template", "x"}},
                                                  {{"name", "default"}, {"template", small}}}}}
                                     .dump());
  EXPECT_EQ(origin(), "tokenizer_config.json: chat_template");
  EXPECT_FALSE(found()->thinks_by_default());
}

TEST_F(TemplateOfDirectory, IsInItsOwnFileFirst) {
  write("tokenizer_config.json", R"({"chat_template": "x"})");
  write("chat_template.jinja", "y");
  EXPECT_EQ(origin(), "chat_template.jinja");
}

TEST_F(TemplateOfDirectory, MustBeAString) {
  const std::string config = (path() / "tokenizer_config.json").string();
  const auto error_of_entry = [&](const std::string& entry) {
    write("tokenizer_config.json", "{\"chat_template\": " + entry + "}");
    return error();
  };
  EXPECT_EQ(error_of_entry("7"), config + ": chat_template: not a string");
  EXPECT_EQ(error_of_entry(R"([{"name": "default", "template": []}])"),
            config + ": chat_template: not a string");
  EXPECT_EQ(error_of_entry("[1]"), config + ": chat_template: not a list of objects with name and template");
  EXPECT_EQ(error_of_entry(R"([{"name": "tool_use", "template": "x"}])"),
            config + ": chat_template: a list of templates without one named \"default\"");
  write("tokenizer_config.json", "[]");
  EXPECT_EQ(error(), config + ": not a JSON object");
}

TEST_F(TemplateOfDirectory, MustNotBeHuge) {
  write("chat_template.jinja", std::string((1U << 20) + 1, 'x'));
  EXPECT_NE(error().find("chat_template.jinja: 1048577 bytes are more than"), std::string::npos) << error();
}

TEST(ChatTemplateSource, IsInGgufMetadata) {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() / "model.gguf";
  const auto written = [&](const char* jinja) {
    GgufWriter writer(path);
    writer.add("general.architecture", "qwen35");
    if (jinja != nullptr) writer.add("tokenizer.chat_template", jinja);
    writer.finish();
    return ChatTemplate::from(*Checkpoint::open(path));
  };
  EXPECT_FALSE(written(nullptr));
  const std::optional<ChatTemplate> found = written("{{ x }}");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->warning().starts_with(path.string() + ": tokenizer.chat_template: "))
      << found->warning();
}

}  // namespace
}  // namespace lattice
