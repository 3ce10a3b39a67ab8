#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace lattice {

/// A whole file, mapped read-only. Moves, does not copy; the mapping lives as long as the object.
class MappedFile {
 public:
  /// Maps `path`. Throws Error naming the path when it cannot be opened, is not a regular file or is empty.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Gives back the memory that holds `bytes` of a mapped file, whole pages only. They stay readable: the next
/// touch reads them from the file again.
void drop_from_memory(std::span<const std::byte> bytes) noexcept;

}  // namespace lattice
