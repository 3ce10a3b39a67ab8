#pragma once

#include <memory>

#include "model/backend.h"
#include "model/weights.h"

namespace lattice {

/// The plainly right forward pass, written to be read beside the paper: float32 values, float64 sums, one
/// token at a time, one thread. The oracle that the fast backends are held to. `weights` must outlive the
/// backend.
[[nodiscard]] std::unique_ptr<Backend> make_reference_backend(const Config& config, const Weights& weights);

}  // namespace lattice
