#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/output_file.h"

namespace lattice {

/// The data part of a file of tensors: places every tensor first, then takes their bytes in the same order,
/// in pieces of any size. Wrong use (a tensor out of turn, too many bytes, too few) throws Error(kUsage).
class TensorDataWriter {
 public:
  /// Every tensor begins at a multiple of `alignment`, and zeros fill the gaps. `file` must outlive the
  /// object.
  TensorDataWriter(OutputFile& file, std::uint64_t alignment) noexcept : file_(file), alignment_(alignment) {}

  /// Places a tensor of `bytes` after those already placed, and returns its offset in the data.
  std::uint64_t place(const std::string& name, std::uint64_t bytes);
  /// The length of the data, with padding.
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return total_bytes_; }

  /// Appends to the tensor `name`, which must be the first that is not yet complete.
  void write(std::string_view name, std::span<const std::byte> bytes);
  /// To be called after the last byte: pads, and fails where a tensor is not complete.
  void finish();

 private:
  struct Entry {
    std::string name;
    std::uint64_t bytes;
  };
  [[nodiscard]] std::uint64_t padding(std::uint64_t bytes) const noexcept;
  void pass_complete_tensors();

  OutputFile& file_;
  std::uint64_t alignment_;
  std::vector<Entry> entries_;
  std::set<std::string, std::less<>> names_;
  std::uint64_t total_bytes_ = 0;
  std::size_t current_ = 0;    // index of the first entry that is not complete
  std::uint64_t written_ = 0;  // bytes of that entry
};

}  // namespace lattice
