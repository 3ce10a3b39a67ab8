#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lattice/error.hpp"

namespace lattice {

/// A file of tests/data/formats (tools/make_format_fixtures.py).
inline std::filesystem::path fixture(std::string_view name) {
  return std::filesystem::path(LATTICE_SOURCE_DIR) / "tests" / "data" / "formats" / name;
}

inline std::string file_contents(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view contents) {
  std::ofstream(path, std::ios::binary).write(contents.data(), static_cast<std::streamsize>(contents.size()));
}

/// A copy of `contents` in a heap block of exactly its size, so that AddressSanitizer sees any read past the
/// end.
class ExactBytes {
 public:
  explicit ExactBytes(std::string_view contents)
      : size_(contents.size()), data_(std::make_unique<std::byte[]>(contents.size())) {
    contents.copy(reinterpret_cast<char*>(data_.get()), size_);
  }
  [[nodiscard]] std::span<const std::byte> span() const noexcept { return {data_.get(), size_}; }
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(data_.get()), size_};
  }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> data_;
};

/// The message of the Error that `action` throws, or "" where it throws none.
template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// A directory of the test's own, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "lattice-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make " + name);
    path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lattice
