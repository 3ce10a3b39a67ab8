#include <algorithm>
#include <csignal>
#include <limits>
#include <string>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "convert/convert.h"
#include "convert/test_models.h"
#include "model/golden.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

fs::path base_model() {
  return golden::find_case("base").model;
}

/// The message of the Error that converting to `out` throws, and that it is of `kind`.
std::string convert_error(const fs::path& from, const fs::path& out, const ConvertOptions& options,
                          Error::Kind kind) {
  try {
    (void)convert_to_gguf(*Checkpoint::open(from), out, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

void expect_contains(const std::string& message, std::string_view text) {
  EXPECT_NE(message.find(text), std::string::npos) << message;
}

/// No half-written file is left in `directory`.
void expect_no_rests(const fs::path& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    EXPECT_EQ(entry.path().string().find(".partial"), std::string::npos) << entry.path();
  }
}

TEST(HostileConvert, TypesThatCannotBeWrittenAreRefused) {
  const TemporaryDirectory directory;
  const fs::path out = directory.path() / "out.gguf";
  for (const DType type : {DType::kQ4_K, DType::kQ5_0, DType::kAffine}) {
    const std::string name(dtype_name(type));
    expect_contains(convert_error(base_model(), out, {.type = type}, Error::Kind::kUsage),
                    name + " cannot be written; choose q8_0, q4_0, bf16, f16 or f32");
    expect_contains(convert_error(base_model(), out, {.head_type = type}, Error::Kind::kUsage),
                    name + " cannot be written");
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(HostileConvert, OutputsThatCannotBeWrittenAreNamed) {
  const TemporaryDirectory directory;
  const fs::path nowhere = directory.path() / "no" / "such" / "out.gguf";
  expect_contains(convert_error(base_model(), nowhere, {}, Error::Kind::kInput),
                  nowhere.string() + ": cannot be created: ");
  expect_contains(convert_error(base_model(), directory.path(), {}, Error::Kind::kInput),
                  directory.path().string() + ": cannot be written: it is there and is not a regular file");
  expect_contains(convert_error(base_model(), "/dev/full", {}, Error::Kind::kInput),
                  "/dev/full: cannot be written: it is there and is not a regular file");
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

/// A disk that is full after `bytes`, as far as this process can tell.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);  // so that the write fails instead
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST(HostileConvert, AFullDiskLeavesTheOldFileAndNoRests) {
  const TemporaryDirectory directory;
  const fs::path out = directory.path() / "out.gguf";
  write_file(out, "what was there before");
  {
    const SmallDisk disk(100'000);
    expect_contains(convert_error(base_model(), out, {.type = DType::kF32}, Error::Kind::kInput),
                    out.string() + ": cannot be written: ");
  }
  EXPECT_EQ(file_contents(out), "what was there before");
  expect_no_rests(directory.path());
}

TEST(HostileConvert, TheModelsOwnFilesAreNotOverwritten) {
  const TemporaryDirectory directory;
  const fs::path gguf = directory.path() / "model.gguf";
  fs::copy(golden::find_case("base_gguf").model, gguf);
  const std::string before = file_contents(gguf);
  const char* const what = "is a file of the model that is to be converted";
  expect_contains(convert_error(gguf, gguf, {}, Error::Kind::kUsage), what);
  fs::create_symlink(gguf, directory.path() / "link.gguf");
  expect_contains(convert_error(gguf, directory.path() / "link.gguf", {}, Error::Kind::kUsage), what);
  expect_contains(convert_error(gguf, directory.path() / "." / "model.gguf", {}, Error::Kind::kUsage), what);
  EXPECT_TRUE(file_contents(gguf) == before);

  const fs::path model = directory.path() / "hf";
  fs::copy(golden::find_case("sharded").model, model);
  for (const char* name :
       {"config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"}) {
    expect_contains(convert_error(model, model / name, {}, Error::Kind::kUsage), what);
  }
  (void)convert_to_gguf(*Checkpoint::open(model), model / "model.gguf", {.threads = 2});
  (void)convert_to_gguf(*Checkpoint::open(model), model / "model.gguf",
                        {.threads = 2});  // its own result, again
  expect_no_rests(model);
}

TEST(HostileConvert, ValuesThatAreNoNumbersAreNamed) {
  const TemporaryDirectory directory;
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const fs::path out = directory.path() / "out.gguf";
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> values = values_of(*Checkpoint::open(base_model()), name);
    values[64 * 7 + 3] = bad;
    copy_model(base_model(), directory.path(), {{name, values}});
    for (const DType type : {DType::kQ8_0, DType::kF32, DType::kBF16}) {
      expect_contains(convert_error(directory.path(), out, {.type = type, .threads = 2}, Error::Kind::kInput),
                      "blk.1.ffn_up.weight has a value or a scale that is not finite in row 7");
    }
  }
  EXPECT_FALSE(fs::exists(out));
  expect_no_rests(directory.path());
}

TEST(HostileConvert, ValuesThatDoNotFitTheTypeAreNamed) {
  const TemporaryDirectory directory;
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const fs::path out = directory.path() / "out.gguf";
  std::vector<float> values = values_of(*Checkpoint::open(base_model()), name);
  values[64 * 7 + 3] = 1e9f;  // its scale, a 127th or an 8th, is beyond binary16's 65504 as well
  copy_model(base_model(), directory.path(), {{name, values}});
  for (const DType type : {DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
    expect_contains(convert_error(directory.path(), out, {.type = type, .threads = 2}, Error::Kind::kInput),
                    "blk.1.ffn_up.weight has a value in row 7 that is too large for " +
                        std::string(dtype_name(type)) + "; choose bf16 or f32");
  }
  (void)convert_to_gguf(*Checkpoint::open(directory.path()), out, {.type = DType::kBF16, .threads = 2});
}

TEST(HostileConvert, WhatDoesNotHoldTogetherIsNotWritten) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "config.json", file_contents(base_model() / "config.json"));
  fs::copy(golden::find_case("sharded").model / "model-00001-of-00003.safetensors",
           directory.path() / "model.safetensors");
  const fs::path out = directory.path() / "out.gguf";
  EXPECT_FALSE(convert_error(directory.path(), out, {}, Error::Kind::kInput).empty());
  EXPECT_FALSE(fs::exists(out));
  expect_no_rests(directory.path());
}

}  // namespace
}  // namespace lattice
