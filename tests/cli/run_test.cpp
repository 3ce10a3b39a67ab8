#include <algorithm>
#include <csignal>
#include <string>

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "cli/harness.h"
#include "model/golden.h"

namespace lattice::test {
namespace {

using Strings = std::vector<std::string>;

nlohmann::json golden_prompt(std::size_t index) {
  static const nlohmann::json golden = golden::read_json(golden::shipped_model_path() / "golden.json");
  return golden.at("prompts").at(index);
}

std::string joined(const golden::Ids& ids) {
  return fmt::format("{}", fmt::join(ids, ","));
}

TEST(Run, WritesTheGoldenStory) {
  const nlohmann::json prompt = golden_prompt(0);
  const auto text = prompt.at("prompt").get<std::string>();
  const Finished run =
      run_lattice({"run", text, "--greedy", "--ignore-eos", "--max-tokens", "64", "--quiet"});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.out, text + prompt.at("continuation").get<std::string>() + "\n");
  EXPECT_EQ(run.error, "");
}

TEST(Run, TakesIdsAndGivesIds) {
  const nlohmann::json prompt = golden_prompt(1);
  const Strings arguments = {"run",      golden::shipped_model_path().string(),
                             "--tokens", joined(prompt.at("prompt_ids").get<golden::Ids>()),
                             "--greedy", "--ignore-eos",
                             "--quiet",  "--max-tokens",
                             "20"};
  auto expected = prompt.at("continuation_ids").get<golden::Ids>();
  expected.resize(20);
  EXPECT_EQ(run_lattice(arguments).out, joined(expected) + "\n");

  Strings with_json = arguments;
  with_json.emplace_back("--json");
  const nlohmann::json json = run_lattice(with_json).json();
  EXPECT_EQ(json.at("tokens").get<golden::Ids>(), expected);
  EXPECT_EQ(json.at("finish_reason"), "length");
  EXPECT_EQ(json.at("figures").at("generated_tokens"), 20);
  EXPECT_FALSE(json.contains("text"));
}

TEST(Run, GuessesAheadWithoutChangingTheText) {
  const Strings plain = {"run",           "the cat sat. the cat sat. the cat sat. the cat",
                         "--seed",        "4",
                         "--temperature", "0.7",
                         "--device",      "cpu",
                         "--max-tokens",  "40",
                         "--ignore-eos"};
  Strings drafted = plain;
  drafted.insert(drafted.end(), {"--draft", "lookup"});
  const Finished one = run_lattice(plain);
  const Finished two = run_lattice(drafted);
  EXPECT_EQ(two.status, 0) << two.error;
  EXPECT_EQ(one.out, two.out);
  EXPECT_EQ(one.error.find("guessed"), std::string::npos) << one.error;
  EXPECT_NE(two.error.find(" guessed, "), std::string::npos) << two.error;
  EXPECT_NE(two.error.find(" tokens a pass"), std::string::npos) << two.error;

  drafted.insert(drafted.end(), {"--draft-tokens", "7", "--json"});
  const nlohmann::json figures = run_lattice(drafted).json().at("figures");
  EXPECT_GT(figures.at("drafted_tokens"), 0);
  EXPECT_LE(figures.at("accepted_tokens"), figures.at("drafted_tokens"));
  EXPECT_GE(figures.at("tokens_per_step"), 1.0);
}

TEST(Run, GuessesAheadWithTheModelsOwnHead) {
  const std::string model = golden::find_case("mtp").model.string();
  const Strings plain = {"run", model,           "--tokens", "1,2,3,1,2",    "--device",
                         "cpu", "--max-tokens",  "24",       "--ignore-eos", "--seed",
                         "4",   "--temperature", "0.7",      "--json"};
  const nlohmann::json without = run_lattice(plain).json();
  for (const char* how : {"mtp", "auto"}) {
    Strings drafted = plain;
    drafted.insert(drafted.end(), {"--draft", how});
    const Finished run = run_lattice(drafted);
    ASSERT_EQ(run.status, 0) << run.error;
    EXPECT_EQ(run.json().at("tokens"), without.at("tokens"));
    EXPECT_GT(run.json().at("figures").at("drafted_tokens"), 0);
  }
  const Finished inspected = run_lattice({"inspect", model});
  EXPECT_NE(inspected.out.find("for --draft mtp"), std::string::npos) << inspected.out;
  EXPECT_GT(run_lattice({"inspect", model, "--json"}).json().at("mtp_bytes"), 0);
}

TEST(Run, NeedsNoTokenizerForIds) {
  const golden::Case one = golden::find_case("base");
  const Finished run = run_lattice({"run", one.model.string(), "--tokens", "1,2,3", "--max-tokens", "4",
                                    "--greedy", "--json", "--ignore-eos"});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_EQ(run.json().at("tokens").size(), 4u);
  const Finished text = run_lattice({"run", one.model.string(), "hello"});
  EXPECT_EQ(text.status, 1);
  EXPECT_NE(text.error.find("tokenizer"), std::string::npos) << text.error;
}

TEST(Run, ReadsThePromptFromStandardInputWithoutItsLastNewline) {
  const Strings flags = {"run", "-", "--greedy", "--max-tokens", "4", "--quiet"};
  const Finished piped = run_lattice(flags, "Once upon a time\n");
  const Finished given = run_lattice({"run", "Once upon a time", "--greedy", "--max-tokens", "4", "--quiet"});
  EXPECT_EQ(piped.status, 0);
  EXPECT_EQ(piped.out, given.out);
  const Finished without_dash =
      run_lattice({"run", "--greedy", "--max-tokens", "4", "--quiet"}, "Once upon a time\n");
  EXPECT_EQ(without_dash.out, given.out);
}

TEST(Run, PrintsTheTextThatIsNewAloneWhereTold) {
  const Finished run =
      run_lattice({"run", "Once upon a time", "--greedy", "--max-tokens", "2", "--quiet", "--no-echo"});
  EXPECT_EQ(run.out, ", there\n");
}

TEST(Run, EndsWithFiguresOnStandardError) {
  const Finished run = run_lattice({"run", "Once upon a time", "--max-tokens", "8", "--seed", "7"});
  EXPECT_EQ(run.status, 0);
  for (const char* part : {"4 prompt tokens", "8 tokens", "tok/s", "first after", "MBU", "BF16", "seed 7"}) {
    EXPECT_NE(run.error.find(part), std::string::npos) << part << " is not in " << run.error;
  }
  EXPECT_EQ(std::ranges::count(run.notes(), '\n'), 1);
  EXPECT_EQ(run.error.find('\x1b'), std::string::npos) << "colours belong on terminals";
}

TEST(Run, RepeatsItselfWithTheSeedThatItShows) {
  const Strings flags = {"run", "The cat", "--max-tokens", "24", "--json", "--temperature", "1.2"};
  const nlohmann::json first = run_lattice(flags).json();
  Strings again = flags;
  again.insert(again.end(),
               {"--seed", std::to_string(first.at("seed").get<std::uint64_t>()), "--threads", "1"});
  EXPECT_EQ(run_lattice(again).json().at("tokens"), first.at("tokens"));
  again.back() = "3";
  again.emplace_back("--pin");
  EXPECT_EQ(run_lattice(again).json().at("tokens"), first.at("tokens"));
  Strings other = flags;
  other.insert(other.end(), {"--seed", "1"});
  Strings another = flags;
  another.insert(another.end(), {"--seed", "2"});
  EXPECT_NE(run_lattice(other).json().at("tokens"), run_lattice(another).json().at("tokens"));
}

TEST(Run, StopsBeforeAStopString) {
  const Finished run =
      run_lattice({"run", "Once upon a time", "--greedy", "--stop", "zebra", "--stop", "re was", "--quiet"});
  EXPECT_EQ(run.out, "Once upon a time, the\n");
  const nlohmann::json json =
      run_lattice({"run", "Once upon a time", "--greedy", "--stop", "re was", "--json"}).json();
  EXPECT_EQ(json.at("finish_reason"), "stop");
}

TEST(Run, SaysWhenTheContextIsFull) {
  const Finished run =
      run_lattice({"run", "Once upon a time", "--greedy", "--ignore-eos", "--context", "12"});
  EXPECT_EQ(run.status, 0);
  EXPECT_NE(run.error.find("context of 12 tokens is full"), std::string::npos) << run.error;
}

TEST(Run, TakesBytesThatAreNoText) {
  const Finished run = run_lattice({"run", "\xff\xfe\xc3", "--greedy", "--max-tokens", "2", "--json"});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_EQ(run.json().at("tokens").size(), 2u);
}

TEST(Run, StreamsTokensAsTheyCome) {
  // So many tokens that whoever waits for all of them waits for seconds.
  Running run({"run", "Once upon a time", "--ignore-eos", "--seed", "1", "--max-tokens", "4000", "--quiet"});
  std::string text;
  for (int reads = 0; reads < 5; ++reads) text += run.read_some();
  EXPECT_TRUE(text.starts_with("Once upon a time"));
  EXPECT_LT(text.size(), 2000u) << "that much text at once is no stream";
  run.signal(SIGKILL);
  EXPECT_EQ(run.finish().status, 128 + SIGKILL);
}

TEST(Run, KeepsWhatIsThereWhenInterrupted) {
  Running run({"run", "Once upon a time", "--ignore-eos", "--seed", "1", "--max-tokens", "4000"});
  std::string text = run.read_some();
  run.signal(SIGINT);
  const Finished end = run.finish();
  text += end.out;
  EXPECT_EQ(end.status, 128 + SIGINT) << "a shell script has to learn of it";
  EXPECT_TRUE(text.ends_with('\n'));
  EXPECT_LT(text.size(), 8000u);
  EXPECT_NE(end.error.find("tok/s"), std::string::npos) << end.error;
}

TEST(Run, EndsQuietlyWhenItsReaderHasGone) {
  Running run({"run", "Once upon a time", "--ignore-eos", "--seed", "1", "--max-tokens", "4000"});
  (void)run.read_some();
  run.close_output();
  const Finished end = run.finish();
  EXPECT_EQ(end.status, 0);
  EXPECT_EQ(end.notes(), "");
}

TEST(Run, AnswersWithAChatModel) {
  const TemporaryFolder folder;
  const std::string model = make_chat_model(folder);
  const Finished run = run_lattice({"run", model, "Tell me a story.", "--greedy", "--max-tokens", "8",
                                    "--json", "--no-think", "--system", "Be brief."});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_NE(run.error.find("template"), std::string::npos) << "an unknown template deserves a warning";
  EXPECT_TRUE(run.json().contains("reasoning"));
  // The template's turns around the text: more tokens than the text alone has.
  EXPECT_GT(run.json().at("figures").at("prompt_tokens"), 15);
  const Finished raw =
      run_lattice({"run", model, "Once upon a time", "--raw", "--greedy", "--max-tokens", "2", "--quiet"});
  EXPECT_EQ(raw.out, "Once upon a time, there\n");
}

}  // namespace
}  // namespace lattice::test
