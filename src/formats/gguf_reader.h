#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/gguf_metadata.h"

namespace lattice {

/// What one GGUF file holds. Strings and tensor data point into its bytes.
struct GgufFile {
  GgufMetadata metadata;
  std::vector<Tensor> tensors;  ///< in the order of the file's list
};

/// Reads a GGUF file of version 2 or 3, little endian, from its bytes. `file` names it in messages. Throws
/// Error naming file and field.
[[nodiscard]] GgufFile read_gguf(const std::string& file, std::span<const std::byte> bytes);

}  // namespace lattice
