#pragma once

#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "model/config.h"

namespace lattice {

/// Adds `tokenizer.*` for a checkpoint that is a directory: the vocabulary and merges of its tokenizer.json,
/// the tokens that end and pad a text, and the chat template's source. Where there is no tokenizer.json, the
/// file says so and takes token ids alone. Appends to `warnings` what GGUF could not take or the user should
/// know. Throws Error naming file and field for a file that does not hold together.
void add_tokenizer(GgufWriter& writer, const Checkpoint& checkpoint, const Config& config,
                   std::vector<std::string>& warnings);

}  // namespace lattice
