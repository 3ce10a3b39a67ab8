#include <string>

#include <gtest/gtest.h>

#include "cli/harness.h"
#include "model/golden.h"

namespace lattice::test {
namespace {

using Strings = std::vector<std::string>;
constexpr const char* kCtrlC = "\x03";
constexpr const char* kCtrlD = "\x04";

TEST(Chat, WritesAStoryInTurnsWithABaseModel) {
  const TemporaryFolder folder;
  const std::string saved = (folder.path() / "story.txt").string();
  const Finished run = run_lattice({"chat", "--greedy", "--max-tokens", "3"},
                                   "Once upon a time\n\n/save " + saved + "\n/exit\nnever read\n");
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_EQ(run.out, ", there was\n a little girl\n");
  EXPECT_NE(run.error.find("base model"), std::string::npos);
  EXPECT_EQ(read_file(saved), "Once upon a time, there was a little girl\n");
}

TEST(Chat, EndsWithItsInput) {
  const Finished run = run_lattice({"chat", "--greedy", "--max-tokens", "2", "--quiet"}, "Once upon a time");
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.out, ", there\n");
}

TEST(Chat, JoinsLinesThatEndInABackslash) {
  const TemporaryFolder folder;
  const std::string saved = (folder.path() / "story.json").string();
  const Finished run =
      run_lattice({"chat", "--greedy", "--max-tokens", "1"}, "One\\\ntwo\n/save " + saved + "\n");
  EXPECT_EQ(run.status, 0);
  const auto text = nlohmann::json::parse(read_file(saved)).at("text").get<std::string>();
  EXPECT_TRUE(text.starts_with("One\ntwo")) << text;
}

TEST(Chat, GoesOnAfterWhatItCannotDo) {
  const Finished run = run_lattice(
      {"chat", "--greedy", "--max-tokens", "2", "--context", "8", "--quiet"},
      "/frobnicate\n/system x\n/save\n/save /no/such/folder/x\n" + std::string(200, 'x') + "\n\nOnce upon\n");
  EXPECT_EQ(run.status, 0);
  for (const char* part : {"\"/frobnicate\"", "no system prompt", "name of a file", "/no/such/folder",
                           "context of 8", "no text yet"}) {
    EXPECT_NE(run.error.find(part), std::string::npos) << part << " is not in\n" << run.error;
  }
  EXPECT_EQ(run.out, " a time\n");
}

TEST(Chat, KeepsAHistoryOfMessages) {
  const TemporaryFolder folder;
  const std::string model = make_chat_model(folder);
  const std::string saved = (folder.path() / "talk.json").string();
  const std::string input = "/system Be brief.\nHello there\nAnd then?\n/save " + saved +
                            "\n/reset\nAgain\n/save " + saved + ".json\n";
  const Finished run =
      run_lattice({"chat", model, "--greedy", "--max-tokens", "6", "--no-think", "--ignore-eos"}, input);
  ASSERT_EQ(run.status, 0) << run.error;
  const nlohmann::json messages = nlohmann::json::parse(read_file(saved)).at("messages");
  ASSERT_EQ(messages.size(), 5u) << messages;
  EXPECT_EQ(messages[0], (nlohmann::json{{"role", "system"}, {"content", "Be brief."}}));
  EXPECT_EQ(messages[1], (nlohmann::json{{"role", "user"}, {"content", "Hello there"}}));
  EXPECT_EQ(messages[2].at("role"), "assistant");
  EXPECT_EQ(messages[3].at("content"), "And then?");
  const nlohmann::json after_reset = nlohmann::json::parse(read_file(saved + ".json")).at("messages");
  ASSERT_EQ(after_reset.size(), 3u) << after_reset;
  EXPECT_EQ(after_reset[0].at("role"), "system");
  EXPECT_EQ(after_reset[1].at("content"), "Again");
}

TEST(Chat, OnATerminalHasEditingHistoryAndFigures) {
  Terminal terminal({"chat", "--greedy", "--max-tokens", "2"});
  terminal.expect("> ");
  terminal.type("Once upom\x7fn a time\n");
  terminal.expect(", there");
  terminal.expect("first after");
  terminal.expect("> ");
#if LATTICE_HAS_LIBEDIT
  terminal.type("\x1b[A\n");  // the arrow up
  terminal.expect("Once upon a time");
  terminal.expect("reused");
  terminal.expect("> ");
#endif
  terminal.type("/help\n");
  terminal.expect("/save FILE");
  terminal.expect("> ");
  terminal.type(kCtrlD);
  EXPECT_EQ(terminal.finish().status, 0);
}

TEST(Chat, StopsTheReplyAtCtrlCAndGoesOn) {
  const TemporaryFolder folder;
  // A model that does not know when to stop, so that the reply is under way when the key is pressed.
  Terminal terminal(
      {"chat", make_chat_model(folder), "--greedy", "--no-think", "--ignore-eos", "--max-tokens", "3000"});
  terminal.expect("> ");
  terminal.type("Tell me a story about a dog\n");
  terminal.expect("dog\r\n");
  for (int pieces = 0; pieces < 3; ++pieces) terminal.expect_more();
  terminal.type(kCtrlC);
  terminal.expect("first after");
  terminal.expect("> ");
  terminal.type("/reset\n");
  terminal.expect("begins anew");
  terminal.expect("> ");
  terminal.type("half a line");
  terminal.expect("half a line");
  terminal.type(kCtrlC);
  terminal.expect("> ");
  terminal.type(kCtrlC);
  terminal.expect("once more");
  terminal.expect("> ");
  terminal.type(kCtrlC);
  EXPECT_EQ(terminal.finish().status, 0);
}

TEST(Chat, ShowsThinkingDimAndWithoutItsTagOnTerminals) {
  const TemporaryFolder folder;
  const Strings arguments = {"chat",         make_chat_model(folder), "--greedy", "--think",
                             "--ignore-eos", "--max-tokens",          "8"};
  Terminal terminal(arguments);
  terminal.expect("> ");
  terminal.type("Hello\n");
  const std::string shown = terminal.expect("first after");
  // Once around the figures, and before that around what the model thinks.
  EXPECT_NE(shown.find("\x1b[2m"), shown.rfind("\x1b[2m")) << shown;
  EXPECT_EQ(shown.find("<think>"), std::string::npos);
  terminal.expect("> ");
  terminal.type(kCtrlD);
  EXPECT_EQ(terminal.finish().status, 0);
  // In a pipe the text is as the model wrote it, the tag that the prompt opened included.
  EXPECT_TRUE(run_lattice(arguments, "Hello\n").out.starts_with("<think>\n"));
}

TEST(Chat, HasNoColoursWhereNoColorIsSet) {
  Terminal terminal({"chat", "--greedy", "--max-tokens", "2"}, {{"NO_COLOR", "1"}});
  EXPECT_EQ(terminal.expect("> ").find("\x1b[2m"), std::string::npos);
  terminal.type(kCtrlD);
  EXPECT_EQ(terminal.finish().status, 0);
}

}  // namespace
}  // namespace lattice::test
