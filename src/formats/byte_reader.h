#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/fail.h"

namespace lattice {

// The formats are little endian and count in 64 bits; so must the machine be and do.
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(std::size_t) == sizeof(std::uint64_t));

/// Reads little-endian numbers and strings one after another. Nothing is read past the end: what does not fit
/// is an Error that names the file, the field and the offset.
class ByteReader {
 public:
  ByteReader(std::string_view file, std::span<const std::byte> bytes) noexcept : file_(file), bytes_(bytes) {}

  [[nodiscard]] std::string_view file() const noexcept { return file_; }
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t remaining() const noexcept { return bytes_.size() - position_; }

  /// A number. (Not bool: a byte from a file need not be 0 or 1.)
  template <typename T>
  [[nodiscard]] T read(std::string_view field) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value;
    std::memcpy(&value, read_bytes(sizeof(T), field).data(), sizeof(T));
    return value;
  }

  /// A 64-bit length, then that many bytes; they stay where they are.
  [[nodiscard]] std::string_view read_string(std::string_view field) {
    const auto length = read<std::uint64_t>(field);
    const std::span<const std::byte> bytes = read_bytes(length, field);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  [[nodiscard]] std::span<const std::byte> read_bytes(std::uint64_t count, std::string_view field) {
    if (count > remaining()) {
      fail("{}: {} needs {} bytes at offset {}, but the file ends at {}", file_, field, count, position_,
           bytes_.size());
    }
    const std::span<const std::byte> out = bytes_.subspan(position_, count);
    position_ += count;
    return out;
  }

 private:
  std::string_view file_;
  std::span<const std::byte> bytes_;
  std::uint64_t position_ = 0;
};

}  // namespace lattice
