#pragma once

#include <string>

#include "formats/checkpoint.h"

namespace lattice::cli {

/// The type that most bytes of the checkpoint's tensors are of: "BF16", "Q8_0", "MLX affine". Every figure of
/// speed names it.
[[nodiscard]] std::string weights_format(const Checkpoint& checkpoint);

}  // namespace lattice::cli
