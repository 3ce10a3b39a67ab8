#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/ranges.h>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include "lattice/model.hpp"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "tinystories-qwen35";
constexpr const char* kVariable = "LATTICE_MODEL";

/// The folder of the running program, or an empty path where the system does not tell.
fs::path program_directory() {
  std::error_code ignored;
#ifdef __APPLE__
  std::array<char, 4096> buffer{};
  auto size = static_cast<std::uint32_t>(buffer.size());
  if (::_NSGetExecutablePath(buffer.data(), &size) != 0) return {};
  return fs::canonical(buffer.data(), ignored).parent_path();
#else
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
#endif
}

std::vector<fs::path> places() {
  std::vector<fs::path> all;
  const fs::path program = program_directory();
  if (!program.empty()) {
    const fs::path above = program.parent_path();
    all.push_back(above / "share" / "lattice" / "models" / kName);  // installed: bin/ beside share/
    all.push_back(above / "models" / kName);                        // built: build/ beside models/
  }
  all.push_back(fs::path(LATTICE_INSTALL_PREFIX) / "share" / "lattice" / "models" / kName);
  all.push_back(fs::path(LATTICE_SOURCE_DIR) / "models" / kName);
  return all;
}

}  // namespace

std::filesystem::path shipped_model_path() {
  std::error_code ignored;
  if (const char* named = std::getenv(kVariable); named != nullptr && *named != '\0') {
    if (fs::exists(named, ignored)) return named;
    fail("{} names {}, which is not there", kVariable, printable(named));
  }
  const std::vector<fs::path> all = places();
  for (const fs::path& place : all) {
    if (fs::exists(place / "config.json", ignored)) return place;
  }
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const fs::path& place : all) names.push_back(place.string());
  fail("the model that comes with Lattice was not found in {}; name one, or set {}", fmt::join(names, ", "),
       kVariable);
}

}  // namespace lattice
