#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "support/mapped_file.h"

namespace lattice {

/// Maps a file of weights. Throws Error as MappedFile does, and for a Git LFS pointer that stands in the
/// file's place: the usual state of a repository that was cloned without Git LFS.
[[nodiscard]] MappedFile map_weights(const std::filesystem::path& path);

/// The paths of `files`, in order.
[[nodiscard]] std::vector<std::filesystem::path> paths_of(std::span<const MappedFile> files);

}  // namespace lattice
