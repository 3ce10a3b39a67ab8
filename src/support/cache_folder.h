#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

namespace lattice {

/// Where `what` that can be made again is kept for the next run: $LATTICE_CACHE_DIR/what, or else
/// lattice/what in the user's cache directory, which is $XDG_CACHE_HOME or ~/.cache. Nothing where none of
/// them is known; of the last two a relative path counts as none, as the XDG specification has it.
[[nodiscard]] std::optional<std::filesystem::path> cache_folder(std::string_view what);

}  // namespace lattice
