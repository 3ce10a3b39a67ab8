#include "formats/safetensors_writer.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "formats/fixtures.h"
#include "formats/safetensors.h"

namespace lattice {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "model.safetensors";
  SafetensorsWriter writer(path);
  writer.add_metadata("format", "pt");
  writer.add_tensor("z", std::array<std::int64_t, 2>{2, 1}, "F32");
  writer.add_tensor("scalar", {}, "BF16");
  writer.add_tensor("empty", std::array<std::int64_t, 2>{0, 7}, "I64");
  writer.add_tensor("a", std::array<std::int64_t, 1>{3}, "U8");
  writer.write("z", bytes_of("123"));
  writer.write("z", bytes_of("45678"));
  writer.write("scalar", bytes_of("90"));
  writer.write("a", bytes_of("abc"));
  writer.finish();

  const std::string contents = file_contents(path);
  const ExactBytes bytes(contents);
  const std::vector<Tensor> tensors = read_safetensors("model.safetensors", bytes.span());
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].name, "z");
  EXPECT_EQ(tensors[0].shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(tensors[1].shape, std::vector<std::int64_t>{});
  EXPECT_EQ(tensors[1].dtype, DType::kBF16);
  EXPECT_EQ((tensors[0].data.data() - bytes.span().data()) % 8, 0);
  EXPECT_TRUE(contents.ends_with("1234567890abc"));
  EXPECT_NE(contents.find(R"("__metadata__":{"format":"pt"})"), std::string::npos);
}

TEST(SafetensorsWriter, WrongUseIsAnError) {
  const TemporaryDirectory directory;
  SafetensorsWriter writer(directory.path() / "model.safetensors");
  const std::array<std::int64_t, 1> four{4};
  const auto expect_error = [&](const auto& action, std::string_view text) {
    const std::string message = error_of(action);
    EXPECT_NE(message.find(text), std::string::npos) << message;
  };
  expect_error([&] { writer.add_tensor("a", four, "Q8_0"); }, "no type \"Q8_0\"");
  expect_error([&] { writer.add_tensor("\xff", four, "F32"); }, "not UTF-8");
  expect_error([&] { writer.add_tensor("__metadata__", four, "F32"); }, "\"__metadata__\"");
  writer.add_tensor("a", four, "F32");
  expect_error([&] { writer.add_tensor("a", four, "F32"); }, "\"a\" is added twice");
  writer.write("a", bytes_of("1234"));
  expect_error([&] { writer.add_metadata("late", "x"); }, "added after data");
  expect_error([&] { writer.finish(); }, "\"a\" got 4 of its 16 bytes");
}

}  // namespace
}  // namespace lattice
