#pragma once

#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "model/config.h"
#include "quant/dtype.h"

namespace lattice {

/// Adds the keys `general.*` and `qwen35.*` that llama.cpp wants (ggml-org/llama.cpp conversion/qwen.py and
/// src/models/qwen35.cpp, load_arch_hparams), for a file whose matrices are mostly of `type`, and that has a
/// head that guesses ahead (multi-token prediction) behind its layers where `has_mtp`.
void add_architecture(GgufWriter& writer, const Checkpoint& checkpoint, const Config& config, bool has_mtp,
                      DType type);

/// Adds what generation_config.json recommends (`general.sampling.*`). Values that are not numbers are left
/// to whoever reads them.
void add_sampling_defaults(GgufWriter& writer, const Checkpoint& checkpoint);

}  // namespace lattice
