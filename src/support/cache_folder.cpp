#include "support/cache_folder.h"

#include <cstdlib>

namespace lattice {

std::optional<std::filesystem::path> cache_folder(std::string_view what) {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets any
    return value == nullptr ? "" : value;
  };
  if (const auto own = variable("LATTICE_CACHE_DIR"); !own.empty()) return own / what;
  if (const auto xdg = variable("XDG_CACHE_HOME"); xdg.is_absolute()) return xdg / "lattice" / what;
  if (const auto home = variable("HOME"); home.is_absolute()) return home / ".cache" / "lattice" / what;
  return std::nullopt;
}

}  // namespace lattice
