#include "formats/gguf_writer.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "formats/checkpoint.h"
#include "formats/fixtures.h"
#include "formats/gguf_reader.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::size_t files_in(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

class GgufWriterTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  fs::path path_ = directory_.path() / "out.gguf";
  const GgmlType& f32_ = ggml_type(DType::kF32);
};

void add_metadata_of_every_type(GgufWriter& writer) {
  writer.add("general.architecture", "test");
  writer.add("test.u8", std::uint8_t{200});
  writer.add("test.i8", std::int8_t{-100});
  writer.add("test.u16", std::uint16_t{60000});
  writer.add("test.i16", std::int16_t{-30000});
  writer.add("test.u32", std::uint32_t{4000000000});
  writer.add("test.i32", std::int32_t{-2000000000});
  writer.add("test.u64", ~std::uint64_t{0});
  writer.add("test.i64", std::numeric_limits<std::int64_t>::min());
  writer.add("test.f32", 0.15625f);
  writer.add("test.f64", 1e300);
  writer.add("test.bool", true);
  writer.add("test.string", "grüße\n");
  writer.add_array("test.strings", std::array{"Ġthe"sv, ""sv, "日本"sv});
  writer.add_array<std::int32_t>("test.ints", std::array{-1, 0, 2147483647});
  writer.add_array<float>("test.floats", std::array{0.5f, -2.0f});
  writer.add_array<bool>("test.bools", std::array{true, false});
}

TEST_F(GgufWriterTest, WritesTheSameBytesAsTheOfficialLibrary) {
  const auto original = Checkpoint::open(fixture("every_type.gguf"));
  GgufWriter writer(path_);
  add_metadata_of_every_type(writer);
  for (const Tensor& tensor : original->tensors()) {
    writer.add_tensor(tensor.name, tensor.shape, *find_ggml_type(tensor.type_name));
  }
  for (const Tensor& tensor : original->tensors()) writer.write(tensor.name, tensor.data);
  writer.finish();
  EXPECT_EQ(file_contents(path_), file_contents(fixture("every_type.gguf")));
  EXPECT_EQ(files_in(directory_.path()), 1u);
}

TEST_F(GgufWriterTest, TakesDataInPiecesOfAnySize) {
  std::string data(40'000, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 >> 3);
  GgufWriter writer(path_);
  for (const char* name : {"a", "b"}) writer.add_tensor(name, std::array<std::int64_t, 2>{100, 100}, f32_);
  for (std::size_t at = 0, size = 1; at < data.size();
       at += size, size = std::min(size * 3, data.size() - at)) {
    writer.write("a", bytes_of(data).subspan(at, size));
  }
  writer.write("b", bytes_of(data));
  writer.finish();
  const auto checkpoint = Checkpoint::open(path_);
  for (const char* name : {"a", "b"}) {
    EXPECT_TRUE(std::ranges::equal(checkpoint->find(name)->data, bytes_of(data))) << name;
  }
}

TEST_F(GgufWriterTest, WritesMoreThanItsBufferHolds) {
  const std::string piece(3'000'000, 'x');
  GgufWriter writer(path_);
  writer.add_tensor("a", std::array<std::int64_t, 1>{2'250'000}, f32_);
  for (int i = 0; i < 3; ++i) writer.write("a", bytes_of(piece));
  writer.finish();
  EXPECT_TRUE(std::ranges::all_of(Checkpoint::open(path_)->find("a")->data,
                                  [](std::byte b) { return b == std::byte{'x'}; }));
}

TEST_F(GgufWriterTest, WritesFilesWithoutTensorsAndEmptyTensors) {
  GgufWriter nothing(path_);
  nothing.finish();
  EXPECT_TRUE(Checkpoint::open(path_)->tensors().empty());
  GgufWriter writer(path_);
  writer.add_tensor("empty", std::array<std::int64_t, 2>{0, 4}, f32_);
  writer.add_tensor("scalar", {}, f32_);
  writer.add_tensor("empty too", std::array<std::int64_t, 1>{0}, f32_);
  writer.write("empty", {});
  writer.write("scalar", bytes_of("abcd"));
  writer.finish();
  const auto checkpoint = Checkpoint::open(path_);
  EXPECT_EQ(checkpoint->tensors().size(), 3u);
  EXPECT_EQ(checkpoint->find("scalar")->shape.size(), 0u);
}

TEST_F(GgufWriterTest, CopiesMetadataWithExactTypes) {
  const ExactBytes original(file_contents(fixture("every_type.gguf")));
  const GgufFile from = read_gguf("every_type.gguf", original.span());
  GgufWriter writer(path_);
  writer.add("test.u8", "replaced");
  writer.copy_missing(from.metadata);
  writer.finish();
  const ExactBytes copy(file_contents(path_));
  const GgufFile to = read_gguf("out.gguf", copy.span());
  ASSERT_EQ(to.metadata.all().size(), from.metadata.all().size());
  for (const auto& [key, value] : from.metadata.all()) {
    if (key == "test.u8") continue;
    EXPECT_EQ(to.metadata.all().at(key), value) << key;
    EXPECT_TRUE(std::ranges::equal(to.metadata.encoded(key), from.metadata.encoded(key))) << key;
  }
  EXPECT_EQ(to.metadata.get_string("test.u8"), "replaced");
}

TEST_F(GgufWriterTest, DoesNotCopyWhatDescribesTheOtherFile) {
  const auto split = Checkpoint::open(fixture("split/model-00001-of-00003.gguf"));
  const auto aligned = Checkpoint::open(fixture("small.gguf"));
  GgufWriter writer(path_);
  writer.copy_missing(*split->gguf());
  writer.copy_missing(*aligned->gguf());
  writer.finish();
  const auto copy = Checkpoint::open(path_);
  EXPECT_EQ(copy->gguf()->get_string("test.string"), "in the first part");
  for (const auto& [key, value] : copy->gguf()->all()) {
    EXPECT_FALSE(key.starts_with("split.") || key == kGgufAlignmentKey) << key;
  }
}

TEST_F(GgufWriterTest, LeavesTheOldFileUntilTheNewOneIsComplete) {
  write_file(path_, "old");
  {
    GgufWriter writer(path_);
    writer.add_tensor("a", std::array<std::int64_t, 1>{4}, f32_);
    writer.write("a", bytes_of("12345678"));
    EXPECT_EQ(file_contents(path_), "old");
  }
  EXPECT_EQ(file_contents(path_), "old");
  EXPECT_EQ(files_in(directory_.path()), 1u);
  GgufWriter(path_).finish();
  EXPECT_TRUE(file_contents(path_).starts_with("GGUF"));
}

TEST_F(GgufWriterTest, MayReplaceTheFileThatItReads) {
  fs::copy_file(fixture("every_type.gguf"), path_);
  const auto original = Checkpoint::open(path_);
  GgufWriter writer(path_);
  writer.copy_missing(*original->gguf());
  const Tensor& grid = *original->find("grid");
  writer.add_tensor(grid.name, grid.shape, f32_);
  writer.write(grid.name, grid.data);
  writer.finish();
  EXPECT_EQ(original->tensors().size(), 34u);
  EXPECT_TRUE(std::ranges::equal(Checkpoint::open(path_)->find("grid")->data, grid.data));
}

TEST_F(GgufWriterTest, NamesThePathThatItCannotWrite) {
  const auto message = [](const fs::path& path) { return error_of([&] { const GgufWriter writer(path); }); };
  EXPECT_EQ(message("/no/such/place/out.gguf"),
            "/no/such/place/out.gguf: cannot be created: No such file or directory");
  EXPECT_NE(message(directory_.path()).find(directory_.path().string() + ": cannot be written"),
            std::string::npos);
  EXPECT_NE(message("/dev/null").find("/dev/null: cannot be written: it is there and is not a regular file"),
            std::string::npos);
  EXPECT_NE(message(fixture("small.gguf") / "out.gguf").find("cannot be created: Not a directory"),
            std::string::npos);
}

TEST_F(GgufWriterTest, AFileTooLargeForTheDiskIsAnErrorBeforeAnyWork) {
  const std::string message = error_of([&] {
    GgufWriter writer(path_);
    writer.add_tensor("a", std::array<std::int64_t, 1>{std::int64_t{1} << 55}, f32_);
    writer.write("a", bytes_of("1234"));
  });
  EXPECT_TRUE(message.starts_with(path_.string() + ": cannot be written: it takes ")) << message;
  EXPECT_EQ(files_in(directory_.path()), 0u);
}

/// Makes files end at `bytes`, which stands for a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{bytes, old_limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*old_handler_)(int);
  rlimit old_limit_{};
};

TEST_F(GgufWriterTest, AFailedWriteIsAnErrorAndLeavesNothing) {
  const std::string data(4'000'000, 'x');
  std::string message;
  {
    const FileSizeLimit limit(2'000'000);
    message = error_of([&] {
      GgufWriter writer(path_);
      writer.add_tensor("a", std::array<std::int64_t, 1>{1'000'000}, f32_);
      writer.write("a", bytes_of(data));
      writer.finish();
    });
  }
  EXPECT_EQ(message, path_.string() + ": cannot be written: File too large");
  EXPECT_EQ(files_in(directory_.path()), 0u);
}

TEST_F(GgufWriterTest, WrongUseIsAnError) {
  GgufWriter writer(path_);
  const auto expect_error = [&](const auto& action, std::string_view text) {
    const std::string message = error_of(action);
    EXPECT_NE(message.find(text), std::string::npos) << message;
  };
  const std::array<std::int64_t, 1> four{4};
  writer.add("k", 1u);
  writer.add_tensor("a", four, f32_);
  expect_error([&] { writer.add("k", 1u); }, "\"k\" is added twice");
  expect_error([&] { writer.add("general.alignment", 64u); }, "the writer's own");
  expect_error([&] { writer.add("", 1u); }, "metadata key is empty");
  expect_error([&] { writer.add_tensor("a", four, f32_); }, "\"a\" is added twice");
  expect_error([&] { writer.add_tensor(std::string(64, 'n'), four, f32_); }, "longer than GGUF allows");
  expect_error([&] { writer.add_tensor("b", std::array<std::int64_t, 5>{}, f32_); },
               "more than GGUF's 4 dimensions");
  expect_error([&] { writer.add_tensor("b", four, ggml_type(DType::kQ8_0)); }, "rows of 4 elements");
  expect_error([&] { writer.add_tensor("b", std::array<std::int64_t, 1>{-1}, f32_); }, "shape [-1]");
  writer.add_tensor("c", four, f32_);
  expect_error([&] { writer.write("c", bytes_of("1234")); }, "\"c\" out of turn");
  expect_error([&] { writer.write("a", bytes_of("12345678901234567")); },
               "more data of tensor \"a\" than its 16 bytes");
  writer.write("a", bytes_of("1234567890123456"));
  expect_error([&] { writer.add("late", 1u); }, "added after data");
  expect_error([&] { writer.add_tensor("late", four, f32_); }, "added after data");
  expect_error([&] { writer.finish(); }, "\"c\" got 0 of its 16 bytes");
}

}  // namespace
}  // namespace lattice
