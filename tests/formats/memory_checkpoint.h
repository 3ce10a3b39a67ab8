#pragma once

#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/checkpoint.h"
#include "formats/gguf_metadata.h"

namespace lattice {

/// A checkpoint whose parts are in memory. What the tensors point to must outlive it.
class MemoryCheckpoint final : public Checkpoint {
 public:
  /// A GGUF file.
  MemoryCheckpoint(std::filesystem::path path, GgufMetadata metadata, std::vector<Tensor> tensors)
      : Checkpoint(std::move(path)), kind_(CheckpointKind::kGguf), metadata_(std::move(metadata)) {
    set_tensors(std::move(tensors));
  }
  /// A directory.
  MemoryCheckpoint(std::filesystem::path path, CheckpointKind kind, nlohmann::json config,
                   std::optional<nlohmann::json> generation_config, std::vector<Tensor> tensors)
      : Checkpoint(std::move(path)),
        kind_(kind),
        config_(std::move(config)),
        generation_config_(std::move(generation_config)) {
    set_tensors(std::move(tensors));
  }

  CheckpointKind kind() const noexcept override { return kind_; }
  std::vector<std::filesystem::path> weight_files() const override { return {}; }
  const nlohmann::json* config_json() const noexcept override { return metadata_ ? nullptr : &config_; }
  const nlohmann::json* generation_config_json() const noexcept override {
    return generation_config_ ? &*generation_config_ : nullptr;
  }
  const GgufMetadata* gguf() const noexcept override { return metadata_ ? &*metadata_ : nullptr; }

 private:
  CheckpointKind kind_;
  nlohmann::json config_;
  std::optional<nlohmann::json> generation_config_;
  std::optional<GgufMetadata> metadata_;
};

}  // namespace lattice
