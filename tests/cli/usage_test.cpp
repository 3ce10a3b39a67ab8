#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "cli/harness.h"
#include "model/golden.h"

namespace lattice::test {
namespace {

using Strings = std::vector<std::string>;

struct WrongUse {
  Strings arguments;
  std::string says;  // part of the message
  int status = 2;
};

/// One sentence on standard error that begins with the program's name, and nothing on standard output.
void expect_refusal(const WrongUse& use) {
  std::string shown;
  for (const std::string& argument : use.arguments) shown += argument.substr(0, 60) + " ";
  const Finished run = run_lattice(use.arguments);
  EXPECT_EQ(run.status, use.status) << shown << run.error;
  EXPECT_EQ(run.out, "") << shown;
  EXPECT_TRUE(run.notes().starts_with("lattice: ")) << shown << run.error;
  EXPECT_EQ(std::ranges::count(run.notes(), '\n'), 1) << shown << run.error;
  EXPECT_NE(run.error.find(use.says), std::string::npos) << shown << run.error;
}

TEST(Usage, OfNothingShowsTheHelp) {
  const Finished run = run_lattice({});
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.out, "");
  EXPECT_NE(run.error.find("Usage: lattice"), std::string::npos);
}

TEST(Usage, ThatIsWrongIsRefusedInOneSentence) {
  const std::vector<WrongUse> uses = {
      {{"frobnicate"}, "no command \"frobnicate\""},
      {{"--frobnicate"}, "no flag \"--frobnicate\""},
      {{"run", "--frobnicate"}, "does not take \"--frobnicate\"; `lattice run --help`"},
      {{"run", "Once", "upon", "a"}, "quotes"},
      {{"run", "\x1b[31m", "b", "c\x1b[31m"}, "\\x1b[31m"},
      {{"run", "--max-tokens"}, "--max-tokens"},
      {{"run", "x", "--greedy", "--temperature", "1"}, "excludes"},
      {{"run", "x", "--think", "--no-think"}, "excludes"},
      {{"run", "x", "--kv", "f8"}, "f32 or f16"},
      {{"run", "x", "--device", "abacus"}, "\"abacus\""},
      {{"run", "x", "--draft", "magic"}, "--draft takes none, lookup, mtp or auto"},
      {{"run", "x", "--draft-tokens", "3"}, "--draft-tokens goes with --draft"},
      {{"chat", "--draft", "none", "--draft-tokens", "3"}, "--draft-tokens goes with --draft"},
      {{"run", "x", "--draft", "lookup", "--draft-tokens", "8", "--device", "cpu"}, "at most 7"},
      {{"run", "x", "--draft", "lookup", "--device", "reference"}, "cannot take guesses back"},
      {{"run", "x", "--draft", "mtp", "--device", "reference"}, "cannot take guesses back"},
      {{"run", "x", "--draft", "mtp", "--device", "cpu"}, "the checkpoint has no head that guesses ahead"},
      {{"bench", "--batches", "0"}, "--batches"},
      {{"bench", "--batches", "1,,2"}, "--batches"},
      {{"run", "x", "--context", "999999"}, "4096"},
      {{"run", "x", "--stop", ""}, "stop string is empty"},
      {{"run", "x", "--tokens", "1,2"}, "cannot be used together"},
      {{"run", "--tokens", "1,2", "--stop", "x"}, "--stop"},
      {{"run", "--tokens", "1,2", "--system", "x"}, "--system"},
      {{"run", "--tokens", "1,2,8192"}, "8192"},
      {{"run", "--tokens", "1,2", "--tokens-file", "x"}, "excludes"},
      {{"run", "x", "--system", "y"}, "no chat template"},
      {{"run", ""}, "empty"},
      {{"run", std::string(100000, 'x')}, "4096"},
      {{"run", "no/such/model", "x"}, "no model \"no/such/model\""},
      {{"run", "no-such-model.gguf"}, "no model"},
      {{"chat", "no/such/model"}, "no model"},
      {{"chat", "--think"}, "no chat template"},
      {{"logits"}, "--tokens"},
      {{"logits", "--tokens", ""}, "no id"},
      {{"logits", "--tokens", "1", "--top", "0"}, "--top"},
      {{"logits", "--tokens-file", "no/such/file"}, "no file"},
      {{"logits", "--tokens-file", "/"}, "directory"},
      {{"perplexity"}, "--text"},
      {{"perplexity", "--text", "x", "--tokens", "1"}, "one of"},
      {{"perplexity", "--tokens", "1"}, "at least two"},
      {{"perplexity", "--tokens", "1,2", "--window", "-1"}, "--window"},
      {{"perplexity", "--text", "/"}, "directory"},
      {{"tokenize", "--decode", "8192"}, "8192"},
      {{"tokenize", "--decode", "x"}, "no id"},
      {{"tokenize", "x", "--decode", "1"}, "--decode"},
      {{"quantize"}, "MODEL"},
      {{"quantize", "x"}, "OUT"},
      {{"quantize", "x", "y", "--type", "q5_1"}, "q8_0, q4_0, bf16 or f16"},
      {{"quantize", "no/such/model", "y.gguf"}, "no model"},
      {{"inspect", "no/such/model"}, "no model"},
  };
  for (const WrongUse& use : uses) expect_refusal(use);
}

TEST(Usage, OfAbsurdNumbersIsRefusedInOneSentence) {
  for (const std::string flag :
       {"--max-tokens", "--context", "--threads", "--top-k", "--seed", "--draft-tokens"}) {
    for (const std::string value : {"-1", "1e999", "nan", "18446744073709551616", "1.5", ""}) {
      expect_refusal({{"run", "x", flag, value}, flag + " takes a whole number"});
    }
  }
  for (const std::string flag : {"--temperature", "--top-p", "--min-p", "--repetition-penalty",
                                 "--presence-penalty", "--frequency-penalty"}) {
    for (const std::string value : {"1e999", "nan", "-inf", "x"}) {
      expect_refusal({{"run", "x", flag, value}, flag + " takes a number"});
    }
    expect_refusal({{"run", "x", flag, "-9"}, "-9"});
  }
}

TEST(Usage, OfBadFilesIsRefusedInOneSentence) {
  const TemporaryFolder folder;
  const std::string junk = folder.write("junk.gguf", std::string("\x00\xff\x1b[31mjunk", 10));
  const std::string empty = folder.write("empty.gguf", "");
  const std::string ids = folder.write("ids.json", "[1, \"two\"]");
  const std::string model = golden::shipped_model_path().string();
  for (const std::string command : {"inspect", "run", "chat", "tokenize"}) {
    for (const std::string& path : {junk, empty}) {
      Strings arguments = {command, path};
      if (command == "run" || command == "tokenize") arguments.emplace_back("x");
      expect_refusal({arguments, path, 1});
    }
  }
  expect_refusal({{"inspect", folder.path().string()}, "config.json", 1});
  expect_refusal({{"inspect", "/dev/null"}, "/dev/null", 1});
  expect_refusal({{"logits", "--tokens-file", ids}, "entry 1", 1});
  expect_refusal({{"perplexity", "--tokens-file", junk}, "junk.gguf", 1});
  expect_refusal({{"quantize", model, "/no/such/folder/x.gguf"}, "/no/such/folder", 1});
  expect_refusal({{"quantize", model, folder.path().string()}, folder.path().string(), 1});
}

TEST(Usage, OfAFullDiskIsAnError) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  const std::string command = std::string(LATTICE_PROGRAM) + " --help > /dev/full 2> /dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
}

}  // namespace
}  // namespace lattice::test
