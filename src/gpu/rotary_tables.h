#pragma once

#include <vector>

#include "model/config.h"

namespace lattice::gpu {

/// The rotary embedding's (cos, sin) for kernels/attention.h: the angle of a position is that of its multiple
/// of 256 (`high`) plus that of the rest (`low`). Made in double precision.
struct RotaryTables {
  explicit RotaryTables(const Config& config);

  std::vector<float> low;   // [256, rotary_dim / 2, 2]
  std::vector<float> high;  // [⌈max_position_embeddings / 256⌉, rotary_dim / 2, 2]
};

}  // namespace lattice::gpu
