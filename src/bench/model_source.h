#pragma once

#include <memory>

#include "bench/benchmark.h"
#include "formats/checkpoint.h"
#include "model/backend.h"
#include "model/weights.h"

namespace lattice::bench {

/// A model that is ready to be measured. Keeps whatever its backend needs.
struct OpenModel {
  std::unique_ptr<Checkpoint> checkpoint;  // the reference backend reads it as it goes
  std::unique_ptr<Weights> weights;        // likewise
  std::unique_ptr<Backend> backend;
  ModelInfo info;
};

/// Opens or makes up the model. `context` is the longest that will be asked for, which counts where memory is
/// checked before random weights are made. Throws Error(kUsage) for a device that there is none of.
[[nodiscard]] OpenModel open_model(const Options& options, std::int64_t context);

}  // namespace lattice::bench
