#include "support/mapped_file.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "lattice/error.hpp"

namespace lattice {
namespace {

std::string message_of(const std::filesystem::path& path) {
  try {
    MappedFile file(path);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(MappedFile, MapsTheBytesAndMoves) {
  const auto path = std::filesystem::path(testing::TempDir()) / "mapped_file_test.bin";
  std::ofstream(path) << "hello";
  MappedFile first(path);
  MappedFile second = std::move(first);
  ASSERT_EQ(second.bytes().size(), 5u);
  EXPECT_EQ(std::memcmp(second.bytes().data(), "hello", 5), 0);
  EXPECT_TRUE(first.bytes().empty());
  std::filesystem::remove(path);
}

TEST(MappedFile, NamesTheFileThatItCannotUse) {
  const std::filesystem::path directory = testing::TempDir();
  EXPECT_NE(message_of(directory / "no-such-file").find("no-such-file"), std::string::npos);
  EXPECT_NE(message_of(directory).find("not a regular file"), std::string::npos);
  const auto empty = directory / "mapped_file_empty.bin";
  std::ofstream{empty};
  EXPECT_NE(message_of(empty).find("empty"), std::string::npos);
  std::filesystem::remove(empty);
}

}  // namespace
}  // namespace lattice
