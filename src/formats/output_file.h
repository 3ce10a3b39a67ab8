#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace lattice {

/// A file being written. Until commit() it has another name, in the same directory, so that a file under the
/// wanted name is either the old one or complete; without commit() the destructor leaves nothing behind.
class OutputFile {
 public:
  /// Throws Error naming `target` where it cannot be created, or is there and no regular file.
  explicit OutputFile(const std::filesystem::path& target);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return target_; }

  /// Throws Error where the disk has no room for a file of `bytes`: sooner than after an hour's work.
  void require_space(std::uint64_t bytes) const;
  /// Appends. Throws Error where it cannot be done (the disk is full).
  void write(std::span<const std::byte> bytes);
  void write_zeros(std::uint64_t count);
  /// Waits until the data is on the disk and gives the file its name. Throws Error where that fails.
  void commit();

 private:
  void create();
  void flush();
  void write_through(std::span<const std::byte> bytes);

  std::filesystem::path target_;
  std::string temporary_;  // empty once there is nothing to remove
  int fd_ = -1;
  std::vector<std::byte> buffer_;
};

}  // namespace lattice
