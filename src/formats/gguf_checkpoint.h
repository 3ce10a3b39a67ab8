#pragma once

#include <memory>

#include "formats/checkpoint.h"
#include "support/mapped_file.h"

namespace lattice {

/// Opens the GGUF model of which `file` is the whole or any part of a split; the other parts stand beside it,
/// named as gguf-split names them (NAME-00001-of-00003.gguf). Throws Error naming file and field.
[[nodiscard]] std::unique_ptr<Checkpoint> open_gguf(MappedFile file);

}  // namespace lattice
