#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/byte_reader.h"
#include "formats/gguf_metadata.h"
#include "formats/gguf_types.h"

namespace lattice {

/// Reads the values of a GGUF file's metadata.
class GgufValueReader {
 public:
  /// `reader` must outlive the object.
  explicit GgufValueReader(ByteReader& reader) noexcept : reader_(reader) {}

  struct Result {
    std::span<const std::byte> encoded;  ///< type and value as they stand in the file
    GgufMetadata::Value value;
  };
  /// Reads the type and the value that follow `key`. Throws Error naming file and key.
  [[nodiscard]] Result read(std::string_view key);

 private:
  [[nodiscard]] GgufMetadata::Value read_scalar(GgufType type, std::string_view field);
  [[nodiscard]] GgufMetadata::Value read_array(std::string_view field);
  [[nodiscard]] GgufMetadata::IntArray read_ints(GgufType type, std::uint64_t count, std::string_view field);
  [[nodiscard]] bool read_bool(std::string_view field);

  ByteReader& reader_;
  std::uint64_t array_elements_ = 0;  // of all arrays so far
};

}  // namespace lattice
