#pragma once

#include "formats/checkpoint.h"
#include "lattice/sampling.hpp"

namespace lattice {

/// What the checkpoint recommends: generation_config.json of a directory, general.sampling.* of a GGUF file.
/// What it does not name is off (temperature: 1), rather than what some other program takes for a default.
/// Greedy where it names nothing, and where generation_config.json does not say do_sample, as Hugging Face
/// has it. Throws Error naming file and field for a value of the wrong type or out of range.
[[nodiscard]] Sampling sampling_defaults(const Checkpoint& checkpoint);

}  // namespace lattice
