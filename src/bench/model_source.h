#pragma once

#include <memory>

#include "bench/benchmark.h"
#include "bench/random_model.h"
#include "formats/checkpoint.h"
#include "model/backend.h"
#include "model/weights.h"

namespace lattice::bench {

/// A model that is ready to be measured. Keeps whatever its backend needs, in one place: it does not move.
struct OpenModel {
  // Of these the backend may read as it goes; they are empty where it has copies of its own.
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<RandomModel> random;
  Weights weights;

  Config config;
  std::unique_ptr<Backend> backend;
  ModelInfo info;
};

/// Opens or makes up the model. `context` is the longest that will be asked for, which counts where memory is
/// checked before random weights are made. Throws Error(kUsage) for a device that there is none of.
[[nodiscard]] std::unique_ptr<OpenModel> open_model(const Options& options, std::int64_t context);

}  // namespace lattice::bench
