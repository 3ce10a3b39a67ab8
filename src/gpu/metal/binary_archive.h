#pragma once

#include <filesystem>
#include <optional>

#include "gpu/metal/metal_cpp.h"

namespace lattice::gpu::metal {

/// Pipelines on disk, so that the second start does not compile them. Like the cache of the other devices:
/// whatever goes wrong with the disk, a pipeline is compiled instead, and nothing fails.
class BinaryArchive {
 public:
  /// The file is <folder>/<name>.metallib-archive; nothing: nothing is kept. A file that Metal does not take
  /// is begun anew.
  BinaryArchive(MTL::Device& device, const std::optional<std::filesystem::path>& folder,
                const std::string& name);
  /// Writes what was added, beside the file's name and then renamed.
  ~BinaryArchive();
  BinaryArchive(const BinaryArchive&) = delete;
  BinaryArchive& operator=(const BinaryArchive&) = delete;

  /// The pipeline, from the archive or else compiled and added to it. Null with `error` set where it cannot
  /// be made.
  [[nodiscard]] Owned<MTL::ComputePipelineState> pipeline(MTL::ComputePipelineDescriptor& descriptor,
                                                          NS::Error** error);

 private:
  [[nodiscard]] Owned<MTL::BinaryArchive> open(bool from_file) const;
  void save() noexcept;

  MTL::Device& device_;
  std::filesystem::path path_;
  Owned<MTL::BinaryArchive> archive_;  // null: nothing is kept
  Owned<NS::Array> list_;              // of it, as descriptors take it
  bool has_grown_ = false;
};

}  // namespace lattice::gpu::metal
