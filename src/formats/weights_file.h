#pragma once

#include <filesystem>

#include "support/mapped_file.h"

namespace lattice {

/// Maps a file of weights. Throws Error as MappedFile does, and for a Git LFS pointer that stands in the
/// file's place: the usual state of a repository that was cloned without Git LFS.
[[nodiscard]] MappedFile map_weights(const std::filesystem::path& path);

}  // namespace lattice
