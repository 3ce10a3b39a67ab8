#pragma once

#include <filesystem>
#include <memory>

#include "formats/checkpoint.h"

namespace lattice {

/// Opens a model directory, Hugging Face's or MLX's. Throws Error naming file and field.
[[nodiscard]] std::unique_ptr<Checkpoint> open_directory(const std::filesystem::path& path);

}  // namespace lattice
