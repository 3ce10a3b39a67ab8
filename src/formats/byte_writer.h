#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lattice {

/// Little-endian numbers and strings in memory, one after another: the counterpart of ByteReader.
class ByteWriter {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::is_arithmetic_v<T> && (!std::is_same_v<T, bool> || sizeof(bool) == 1));
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }

  /// A 64-bit length, then the bytes.
  void put_string(std::string_view text) {
    put(std::uint64_t{text.size()});
    put_bytes(std::as_bytes(std::span(text)));
  }

  void put_bytes(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace lattice
