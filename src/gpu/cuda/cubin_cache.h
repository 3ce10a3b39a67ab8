#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace lattice::gpu::cuda {

/// Compiled kernels on disk, so that the second start does not compile. A file is written beside its name and
/// renamed, so that processes never see half of one, and is taken only when it is whole; whatever goes wrong
/// with the disk, kernels are compiled instead, and nothing fails.
class CubinCache {
 public:
  /// Nothing: nothing is kept.
  explicit CubinCache(std::optional<std::filesystem::path> folder) : folder_(std::move(folder)) {}

  /// What was stored under `key`, which is any text that tells kernels apart.
  [[nodiscard]] std::optional<std::string> find(std::string_view key) const noexcept;
  void store(std::string_view key, std::string_view value) const noexcept;

 private:
  [[nodiscard]] std::filesystem::path path_of(std::string_view key) const;

  std::optional<std::filesystem::path> folder_;
};

}  // namespace lattice::gpu::cuda
