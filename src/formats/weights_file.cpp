#include "formats/weights_file.h"

#include <cstring>
#include <string_view>

#include "support/fail.h"

namespace lattice {

MappedFile map_weights(const std::filesystem::path& path) {
  constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/";
  MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() >= kLfsPointer.size() &&
      std::memcmp(bytes.data(), kLfsPointer.data(), kLfsPointer.size()) == 0) {
    fail("{}: a Git LFS pointer, not the weights themselves; fetch them with `git lfs pull`", path.string());
  }
  return file;
}

std::vector<std::filesystem::path> paths_of(std::span<const MappedFile> files) {
  std::vector<std::filesystem::path> paths;
  paths.reserve(files.size());
  for (const MappedFile& file : files) paths.push_back(file.path());
  return paths;
}

}  // namespace lattice
