#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "cli/harness.h"
#include "model/golden.h"

namespace lattice::test {
namespace {

using Strings = std::vector<std::string>;

/// `lattice bench` of the shipped model, as short as it goes.
Strings quick(const Strings& more) {
  Strings arguments = {"bench",      golden::shipped_model_path().string(),
                       "--prefill",  "8",
                       "--contexts", "0,16",
                       "--repeats",  "2",
                       "--steps",    "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Bench, PrintsTablesThatEndWithTheHash) {
  const Finished done = run_lattice(quick({}));
  EXPECT_EQ(done.status, 0) << done.error;
  for (const char* words : {"prefill", "decode", "MBU %", "GB/s read", "governor"}) {
    EXPECT_NE(done.out.find(words), std::string::npos) << words;
  }
  const std::size_t hash = done.out.rfind("logits   ");
  ASSERT_NE(hash, std::string::npos);
  EXPECT_EQ(done.out.size() - hash, 9u + 16 + 1) << "it is the last line";
}

TEST(Bench, JsonAndPlot) {
  const std::filesystem::path plot = std::filesystem::path(testing::TempDir()) / "lattice_bench_test.svg";
  const Finished done = run_lattice(quick({"--json", "--quiet", "--plot", plot.string()}));
  EXPECT_EQ(done.status, 0) << done.error;
  EXPECT_EQ(done.error, "");
  const nlohmann::json json = done.json();
  EXPECT_EQ(json["schema"], "lattice-bench/1");
  EXPECT_EQ(json["benchmarks"].size(), 3u);
  EXPECT_EQ(json["options"]["contexts"], (std::vector<int>{0, 16}));
  std::ostringstream svg;
  svg << std::ifstream(plot).rdbuf();
  EXPECT_TRUE(svg.str().starts_with("<svg "));
  std::filesystem::remove(plot);

  // The same work gives the same bits, one thread or more.
  const Finished again = run_lattice(quick({"--json", "--quiet", "--threads", "1"}));
  EXPECT_EQ(again.json()["logits_hash"], json["logits_hash"]);
}

TEST(Bench, TimesBatches) {
  const Finished done =
      run_lattice(quick({"--device", "cpu", "--batches", "2,4", "--filter", "batch", "--json"}));
  EXPECT_EQ(done.status, 0) << done.error;
  const nlohmann::json json = done.json();
  ASSERT_EQ(json["benchmarks"].size(), 2u);
  EXPECT_EQ(json["benchmarks"][1]["name"], "batch/4");
  EXPECT_EQ(json["options"]["batches"], (std::vector<int>{2, 4}));
  EXPECT_GT(json["benchmarks"][1]["cost_of_one"]["value"], 0);
}

TEST(Bench, TimesGuessesOfTheModelsOwnHead) {
  const std::string model = golden::find_case("mtp").model.string();
  const Finished done =
      run_lattice({"bench", model, "--device", "cpu", "--repeats", "1", "--steps", "2", "--contexts", "8",
                   "--drafts", "1,2", "--filter", "draft", "--json", "--quiet"});
  ASSERT_EQ(done.status, 0) << done.error;
  const nlohmann::json json = done.json();
  ASSERT_EQ(json["benchmarks"].size(), 2u);
  EXPECT_EQ(json["benchmarks"][1]["name"], "draft/2");
  EXPECT_EQ(json["options"]["drafts"], (std::vector<int>{1, 2}));
}

TEST(Bench, ListsNamesWithoutMeasuring) {
  EXPECT_EQ(run_lattice({"bench", "--list", "--filter", "batch", "--batches", "1,8"}).out,
            "batch/1\nbatch/8\n");
  EXPECT_EQ(run_lattice({"bench", "--shape", "27b", "--type", "f32", "--list"}).out,
            "prefill/512\ndecode/0\ndecode/512\ndecode/4096\ndecode/16384\n");
  EXPECT_EQ(run_lattice({"bench", "--list", "--filter", "^decode/.*6", "--contexts", "0,16,4096"}).out,
            "decode/16\ndecode/4096\n");
}

TEST(Bench, WrongUsageIsOneSentenceAndStatusTwo) {
  for (const Strings& wrong :
       {Strings{"--shape", "7b"}, Strings{"--shape", "0.8b", "--type", "q3_k"}, Strings{"--type", "bf16"},
        Strings{"--contexts", "0,x"}, Strings{"--contexts", ""}, Strings{"--contexts", "-1"},
        Strings{"--repeats", "0"}, Strings{"--steps", "many"}, Strings{"--device", "typewriter"},
        Strings{"--filter", "("}, Strings{"--filter", "nothing"}}) {
    Strings arguments = {"bench", "--prefill", "8"};
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    const Finished done = run_lattice(arguments);
    EXPECT_EQ(done.status, 2) << wrong[1] << done.error;
    EXPECT_TRUE(done.error.starts_with("lattice: ")) << done.error;
    EXPECT_EQ(done.out, "");
  }
  EXPECT_EQ(run_lattice({"bench", "/no/such/model"}).status, 2);
  EXPECT_EQ(run_lattice(quick({"--shape", "0.8b"})).status, 2);
  EXPECT_EQ(run_lattice(quick({"--plot", "/no/such/folder/plot.svg"})).status, 1);
}

}  // namespace
}  // namespace lattice::test
