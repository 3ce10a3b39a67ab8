#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "cli/harness.h"
#include "model/golden.h"

namespace lattice::test {
namespace {

using Strings = std::vector<std::string>;

std::string shipped() {
  return golden::shipped_model_path().string();
}

std::string golden_tokens(std::size_t count) {
  golden::Ids ids = golden::shipped().text;
  ids.resize(count);
  return nlohmann::json(ids).dump();
}

TEST(Help, TeachesEveryCommandByExample) {
  const Finished all = run_lattice({"--help"});
  EXPECT_EQ(all.status, 0);
  EXPECT_EQ(all.error, "");
  for (const std::string command :
       {"run", "chat", "inspect", "tokenize", "logits", "perplexity", "quantize", "devices", "bench"}) {
    EXPECT_NE(all.out.find("  " + command + " "), std::string::npos) << command;
    const Finished one = run_lattice({command, "--help"});
    EXPECT_EQ(one.status, 0);
    EXPECT_NE(one.out.find("Examples:\n  lattice " + command), std::string::npos) << one.out;
    std::size_t begin = 0;
    for (std::size_t end = one.out.find('\n'); end != std::string::npos; end = one.out.find('\n', begin)) {
      EXPECT_LE(end - begin, 120u) << one.out.substr(begin, end - begin);
      begin = end + 1;
    }
  }
}

TEST(Version, IsOneLine) {
  const Finished run = run_lattice({"--version"});
  EXPECT_EQ(run.status, 0);
  EXPECT_TRUE(run.out.starts_with("lattice "));
  EXPECT_EQ(run.out.find('\n'), run.out.size() - 1);
}

TEST(Logits, AreTheGoldenOnes) {
  const golden::ShippedPrompt prompt = golden::shipped().prompts.at(0);
  const TemporaryFolder folder;
  const std::string ids = folder.write("ids.json", nlohmann::json(prompt.ids).dump());
  const Finished run = run_lattice({"logits", shipped(), "--tokens-file", ids, "--top", "10", "--json"});
  ASSERT_EQ(run.status, 0) << run.error;
  const nlohmann::json json = run.json();
  EXPECT_NEAR(json.at("logsumexp").get<double>(), prompt.steps[0].logsumexp, 2e-3);
  ASSERT_EQ(json.at("top").size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(json["top"][i].at("logit").get<double>(), prompt.steps[0].top10[i].second, 2e-3);
  }
  EXPECT_EQ(json["top"][0].at("id"), prompt.steps[0].top10[0].first);
}

TEST(Logits, AsATableShowTheText) {
  const Finished run = run_lattice({"logits", "--tokens", "882,356,258", "--top", "1"});
  EXPECT_EQ(run.status, 0);
  EXPECT_NE(run.out.find("\" big\""), std::string::npos) << run.out;
}

TEST(Logits, ShowAsManyAsThereAre) {
  const golden::Case one = golden::find_case("base");
  const Finished run =
      run_lattice({"logits", one.model.string(), "--tokens", "1", "--top", "2147483647", "--json"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_GT(run.json().at("top").size(), 10u);
}

TEST(Perplexity, IsTheGoldenOne) {
  const TemporaryFolder folder;
  const std::string ids = folder.write("ids.json", golden_tokens(512));
  const Finished run = run_lattice({"perplexity", shipped(), "--tokens-file", ids, "--json"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_NEAR(run.json().at("mean_nll").get<double>(), golden::shipped().nll_of_first.at(512), 1e-3);
  EXPECT_EQ(run.json().at("tokens"), 511);
}

TEST(Perplexity, TakesATextAndWindows) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("text.txt", "Once upon a time, there was a little dog named Spot. He was big.");
  const Finished run = run_lattice({"perplexity", "--text", file, "--window", "8"});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_TRUE(run.out.starts_with("perplexity ")) << run.out;
}

TEST(Progress, IsPlainLinesAtTenthsWhereNobodyWatches) {
  const TemporaryFolder folder;
  // The reference takes seconds for this on any machine.
  const std::string ids = folder.write("ids.json", golden_tokens(200));
  const Finished run =
      run_lattice({"perplexity", "--tokens-file", ids, "--device", "reference", "--window", "8"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_NE(run.error.find(" %, "), std::string::npos) << run.error;
  EXPECT_LE(std::count(run.error.begin(), run.error.end(), '\n'), 20);
  EXPECT_EQ(run.error.find('\r'), std::string::npos);
}

TEST(Progress, IsABarThatGoesOnATerminal) {
  const TemporaryFolder folder;
  const std::string ids = folder.write("ids.json", golden_tokens(200));
  Terminal terminal({"perplexity", "--tokens-file", ids, "--device", "reference", "--window", "8"});
  EXPECT_NE(terminal.expect("tok/s").find("[#"), std::string::npos);
  const std::string rest = terminal.expect("perplexity ");
  EXPECT_TRUE(rest.ends_with("\x1b[Kperplexity ")) << rest;
  EXPECT_EQ(terminal.finish().status, 0);
}

TEST(Tokenize, GoesBothWays) {
  const std::string text = "Once upon a time, <|endoftext|> na\u00efve \u65e5\u672c";
  const nlohmann::json json = run_lattice({"tokenize", text, "--json"}).json();
  const auto ids = json.at("tokens").get<golden::Ids>();
  EXPECT_NE(std::find(ids.begin(), ids.end(), 8187), ids.end()) << "the special token";
  EXPECT_EQ(json.at("pieces").size(), ids.size());

  std::string list = run_lattice({"tokenize", "--ids"}, text + "\n").out;
  list.pop_back();
  EXPECT_EQ(nlohmann::json::parse("[" + list + "]").get<golden::Ids>(), ids);
  EXPECT_EQ(run_lattice({"tokenize", "--decode", list}).out, text + "\n");
  EXPECT_EQ(run_lattice({"tokenize", shipped(), "--decode", list, "--json"}).json().at("text"), text);

  const auto plain =
      run_lattice({"tokenize", text, "--plain", "--json"}).json().at("tokens").get<golden::Ids>();
  EXPECT_GT(plain.size(), ids.size());
}

TEST(Tokenize, ShowsPiecesInATable) {
  const Finished run = run_lattice({"tokenize", "Once upon\x1b"});
  EXPECT_EQ(run.status, 0);
  EXPECT_NE(run.out.find("444  \"Once\"\n442  \" upon\"\n"), std::string::npos) << run.out;
  EXPECT_EQ(run.out.find('\x1b'), std::string::npos);
}

TEST(Inspect, SaysWhatWasRead) {
  const Finished text = run_lattice({"inspect"});
  EXPECT_EQ(text.status, 0) << text.error;
  for (const char* part : {"Hugging Face safetensors", "8: 6 linear", "27,322,672",
                           "model.layers.*.mlp.up_proj.weight", "at most tok/s", "1024 x 512", "BF16"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << " is not in\n" << text.out;
  }
  const Finished all = run_lattice({"inspect", "--tensors"});
  EXPECT_NE(all.out.find("model.layers.7.mlp.up_proj.weight"), std::string::npos);

  const nlohmann::json json = run_lattice({"inspect", shipped(), "--json"}).json();
  EXPECT_EQ(json.at("config").at("hidden_size"), 512);
  EXPECT_EQ(json.at("config").at("layer_types").size(), 8u);
  std::int64_t bytes = 0;
  for (const nlohmann::json& tensor : json.at("tensors")) bytes += tensor.at("bytes").get<std::int64_t>();
  EXPECT_EQ(bytes, json.at("total_bytes"));
  const nlohmann::json& prediction = json.at("prediction").at(0);
  EXPECT_NEAR(
      prediction.at("tokens_per_second").get<double>() * prediction.at("bytes_per_token").get<double>(),
      json.at("read_bytes_per_second").get<double>(), 1e3);
}

TEST(Inspect, ReadsEveryFormat) {
  for (const golden::Case& one : golden::cases()) {
    const Finished run = run_lattice({"inspect", one.model.string(), "--json"});
    ASSERT_EQ(run.status, 0) << one.name << run.error;
    EXPECT_FALSE(run.json().at("tensors").empty());
  }
}

TEST(Quantize, WritesAFileThatRuns) {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "stories.gguf").string();
  const Finished run =
      run_lattice({"quantize", shipped(), out, "--type", "q4_0", "--head", "Q8_0", "--json"});
  ASSERT_EQ(run.status, 0) << run.error;
  EXPECT_LT(run.json().at("tensor_bytes"), run.json().at("source_bytes"));

  const nlohmann::json info = run_lattice({"inspect", out, "--json"}).json();
  std::map<std::string, std::string> types;
  for (const nlohmann::json& tensor : info.at("tensors")) types[tensor.at("name")] = tensor.at("type");
  EXPECT_EQ(types["token_embd.weight"], "Q8_0");
  EXPECT_EQ(types["blk.0.ffn_up.weight"], "Q4_0");
  const Finished story = run_lattice({"run", out, "Once upon a time", "--greedy", "--max-tokens", "4"});
  EXPECT_EQ(story.out, "Once upon a time, there was a\n") << story.error;
  EXPECT_NE(story.error.find("Q4_0"), std::string::npos) << story.error;
}

TEST(Devices, AreListedWithTheMachine) {
  const nlohmann::json json = run_lattice({"devices", "--json"}).json();
  EXPECT_EQ(json.at("devices").at(0).at("name"), "cpu");
  EXPECT_GE(json.at("threads"), 1);
  EXPECT_GT(json.at("memory_bytes"), 1 << 20);
  EXPECT_GT(json.at("read_bytes_per_second"), 1e6);
  EXPECT_FALSE(json.at("instruction_sets").empty());
  EXPECT_NE(run_lattice({"devices"}).out.find("read bandwidth"), std::string::npos);
}

}  // namespace
}  // namespace lattice::test
