#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace lattice {

/// The tensors of a safetensors file, from its bytes, in the order of their data. `file` names it in
/// messages. As the format demands, the data covers the file from the header to the end, without gaps. Throws
/// Error naming file and field.
[[nodiscard]] std::vector<Tensor> read_safetensors(std::string_view file, std::span<const std::byte> bytes);

}  // namespace lattice
