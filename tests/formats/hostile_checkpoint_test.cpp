#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "formats/byte_writer.h"
#include "formats/checkpoint.h"
#include "formats/fixtures.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

/// A copy of a fixture that a test may spoil.
class Model {
 public:
  explicit Model(std::string_view name) { fs::copy(fixture(name), path(), fs::copy_options::recursive); }

  [[nodiscard]] const fs::path& path() const noexcept { return directory_.path(); }
  [[nodiscard]] fs::path file(std::string_view name) const { return path() / name; }
  void write(std::string_view name, std::string_view contents) const { write_file(file(name), contents); }
  void remove(std::string_view name) const { fs::remove(file(name)); }
  /// Replaces the first `from` in a file.
  void replace(std::string_view name, std::string_view from, std::string_view to) const {
    std::string contents = file_contents(file(name));
    const auto at = contents.find(from);
    ASSERT_NE(at, std::string::npos);
    write(name, contents.replace(at, from.size(), to));
  }

 private:
  TemporaryDirectory directory_;
};

std::string open_error(const fs::path& path) {
  return error_of([&] { (void)Checkpoint::open(path); });
}

void expect_error(const fs::path& path, const fs::path& file, std::string_view text) {
  const std::string message = open_error(path);
  EXPECT_TRUE(message.starts_with(file.string() + ": ")) << message;
  EXPECT_NE(message.find(text), std::string::npos) << message;
}

TEST(OpenCheckpoint, SaysWhatToGive) {
  const TemporaryDirectory directory;
  const fs::path text = directory.path() / "notes.txt";
  write_file(text, "hello");
  expect_error("/no/such/model", "/no/such/model", "no such file or directory; give a model directory");
  expect_error("", "", "no such file or directory");
  expect_error(fixture("hugging_face/model.safetensors"), fixture("hugging_face/model.safetensors"),
               "give the directory");
  expect_error(text, text, "give a model directory (config.json and model.safetensors) or a .gguf file");
  expect_error(directory.path(), directory.path(), "it has no config.json");
  const fs::path gguf = directory.path() / "model.gguf";
  write_file(gguf, "GGML");
  expect_error(gguf, gguf, "not a GGUF file");
  expect_error(directory.path(), directory.path(), "give the file, for example " + gguf.string());
}

TEST(OpenCheckpoint, KnowsAGgufFileWhateverItsName) {
  const TemporaryDirectory directory;
  fs::copy(fixture("small.gguf"), directory.path() / "sha256-abc");
  EXPECT_EQ(Checkpoint::open(directory.path() / "sha256-abc")->kind(), CheckpointKind::kGguf);
}

TEST(OpenCheckpoint, KnowsAGitLfsPointer) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n";
  const Model model("hugging_face");
  model.write("model.safetensors", pointer);
  expect_error(model.path(), model.file("model.safetensors"), "git lfs pull");
  model.write("model.gguf", pointer);
  expect_error(model.file("model.gguf"), model.file("model.gguf"), "git lfs pull");
}

TEST(HostileDirectory, ConfigMustBeAnObject) {
  const Model model("hugging_face");
  for (const char* text : {"[]", "7", "null", "\"x\""}) {
    model.write("config.json", text);
    expect_error(model.path(), model.file("config.json"), "not a JSON object");
  }
  model.write("config.json", "{");
  expect_error(model.path(), model.file("config.json"), "not valid JSON");
  model.write("config.json", "");
  expect_error(model.path(), model.file("config.json"), "empty");
  model.write("config.json", std::string(100'000, '['));
  expect_error(model.path(), model.file("config.json"), "nested deeper");
}

TEST(HostileDirectory, GenerationConfigMustBeAnObject) {
  const Model model("hugging_face");
  model.write("generation_config.json", "[1]");
  expect_error(model.path(), model.file("generation_config.json"), "not a JSON object");
}

TEST(HostileDirectory, QuantizationMustBeAnObject) {
  const Model model("hugging_face");
  model.write("config.json", R"({"quantization": 4})");
  expect_error(model.path(), model.file("config.json"), "quantization is not a JSON object");
  model.write("config.json", R"({"quantization": null})");
  EXPECT_EQ(Checkpoint::open(model.path())->kind(), CheckpointKind::kSafetensors);
}

TEST(HostileDirectory, NeedsWeights) {
  const Model model("hugging_face");
  model.remove("model.safetensors");
  expect_error(model.path(), model.path(), "no weights");
}

TEST(HostileDirectory, ShardsNeedAnIndex) {
  const Model model("sharded");
  model.remove("model.safetensors.index.json");
  expect_error(
      model.path(), model.path(),
      "has 2 .safetensors files (model-00001-of-00002.safetensors, …) but neither model.safetensors nor "
      "model.safetensors.index.json");
}

TEST(HostileDirectory, IndexMustHoldAWeightMap) {
  const Model model("sharded");
  const std::string name = "model.safetensors.index.json";
  for (const char* text : {"[]", "{}", R"({"weight_map": []})", R"({"weight_map": null})"}) {
    model.write(name, text);
    expect_error(model.path(), model.file(name), "weight_map is not a JSON object");
  }
  model.write(name, R"({"weight_map": {}})");
  expect_error(model.path(), model.file(name), "weight_map names no tensors");
  model.write(name, R"({"weight_map": {"a": 1}})");
  expect_error(model.path(), model.file(name), "weight_map: the shard of \"a\" is not a string");
}

TEST(HostileDirectory, IndexMustNotLeaveTheDirectory) {
  const Model model("sharded");
  for (const char* shard : {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors",
                            "..\\\\x.safetensors", "..", "", ".safetensors", ".hidden.safetensors",
                            "config.json", "x.safetensors\\u0000.safetensors", "pytorch_model.bin"}) {
    model.write("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"" + std::string(shard) + "\"}}");
    expect_error(model.path(), model.file("model.safetensors.index.json"),
                 "not a plain name of a .safetensors file");
  }
}

TEST(HostileDirectory, ShardsMustBeThere) {
  const Model model("sharded");
  model.remove("model-00002-of-00002.safetensors");
  expect_error(model.path(), model.file("model.safetensors.index.json"),
               "shard \"model-00002-of-00002.safetensors\" is not in the directory");
}

TEST(HostileDirectory, ShardsMustHoldWhatTheIndexSays) {
  const Model model("sharded");
  model.replace("model.safetensors.index.json", "\"b\"", "\"d\"");
  expect_error(model.path(), model.file("model-00001-of-00002.safetensors"), "tensor \"d\" is missing");
}

TEST(HostileDirectory, ShuffledShardsAreAnError) {
  const Model model("sharded");
  const fs::path one = model.file("model-00001-of-00002.safetensors");
  const fs::path two = model.file("model-00002-of-00002.safetensors");
  fs::rename(one, model.file("x"));
  fs::rename(two, one);
  fs::rename(model.file("x"), two);
  expect_error(model.path(), one, "is missing, which model.safetensors.index.json expects here");
}

TEST(HostileDirectory, ATensorInTwoShardsIsAnError) {
  const Model model("sharded");
  model.write(
      "model.safetensors.index.json",
      R"({"weight_map": {"b": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  expect_error(model.path(), model.file("model.safetensors.index.json"), "the key \"b\" occurs twice");
}

TEST(HostileDirectory, WhatTheIndexDoesNotNameIsNoPartOfTheModel) {
  const Model model("sharded");
  model.write(
      "model.safetensors.index.json",
      R"({"weight_map": {"b": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}})");
  const auto checkpoint = Checkpoint::open(model.path());
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(checkpoint->find("a"), nullptr);
}

TEST(HostileDirectory, AShardThatIsADirectoryIsAnError) {
  const Model model("sharded");
  model.remove("model-00002-of-00002.safetensors");
  fs::create_directory(model.file("model-00002-of-00002.safetensors"));
  expect_error(model.path(), model.file("model-00002-of-00002.safetensors"), "not a regular file");
}

constexpr const char* kPart1 = "model-00001-of-00003.gguf";
constexpr const char* kPart2 = "model-00002-of-00003.gguf";

/// The bytes of a metadata pair of type uint16, as split.no and split.count have it.
std::string pair_u16(std::string_view key, std::uint16_t value) {
  ByteWriter out;
  out.put_string(key);
  out.put(std::uint32_t{2});
  out.put(value);
  return {reinterpret_cast<const char*>(out.bytes().data()), out.bytes().size()};
}

TEST(HostileSplit, EveryPartMustBeThere) {
  const Model model("split");
  model.remove(kPart2);
  expect_error(model.file(kPart1), model.file(kPart1), "part 2 of 3 is missing");
}

TEST(HostileSplit, PartsMustHaveTheirNames) {
  const Model model("split");
  fs::rename(model.file(kPart1), model.file("first.gguf"));
  expect_error(model.file("first.gguf"), model.file("first.gguf"), "name must end in -00001-of-00003.gguf");
}

TEST(HostileSplit, PartsMustBelongTogether) {
  const Model model("split");
  fs::copy_file(model.file(kPart1), model.file(kPart2), fs::copy_options::overwrite_existing);
  expect_error(model.file(kPart1), model.file(kPart2), "does not say part 2 of 3");
  fs::copy_file(fixture("small.gguf"), model.file(kPart2), fs::copy_options::overwrite_existing);
  expect_error(model.file(kPart1), model.file(kPart2), "does not say part 2 of 3");
}

TEST(HostileSplit, ShuffledPartsAreAnError) {
  const Model model("split");
  const fs::path one = model.file(kPart1), two = model.file(kPart2);
  fs::rename(one, model.file("x"));
  fs::rename(two, one);
  fs::rename(model.file("x"), two);
  expect_error(one, one, "its name must end in -00002-of-00003.gguf");
}

TEST(HostileSplit, NumbersMustMakeSense) {
  const Model model("split");
  model.replace(kPart1, pair_u16("split.no", 0), pair_u16("split.no", 3));
  expect_error(model.file(kPart1), model.file(kPart1), "split.no is 3 of 3");
  model.replace(kPart1, pair_u16("split.no", 3), pair_u16("split.ni", 0));
  expect_error(model.file(kPart1), model.file(kPart1), "\"split.no\" is missing");
}

TEST(HostileSplit, AllTensorsMustBeThere) {
  const Model model("split");
  ByteWriter count;
  count.put_string("split.tensors.count");
  count.put(std::uint32_t{5});
  const auto as_text = [](const ByteWriter& w) {
    return std::string(reinterpret_cast<const char*>(w.bytes().data()), w.bytes().size());
  };
  ByteWriter five = count;
  five.put(std::int32_t{5});
  ByteWriter six = count;
  six.put(std::int32_t{6});
  model.replace(kPart1, as_text(five), as_text(six));
  expect_error(model.file(kPart1), model.file(kPart1),
               "split.tensors.count is 6, but the parts hold 5 tensors");
}

TEST(HostileSplit, ATensorInTwoPartsIsAnError) {
  const Model model("split");
  model.replace(kPart2, "blk.2.weight", "blk.0.weight");
  expect_error(model.file(kPart1), model.file(kPart1), "tensor \"blk.0.weight\" occurs twice");
}

}  // namespace
}  // namespace lattice
