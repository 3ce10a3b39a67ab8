#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "quant/dtype.h"

namespace lattice {

class GgufMetadata;

/// One tensor of a checkpoint: where its bytes are and what they are. The reader has checked that `data` lies
/// in the file, that it is exactly as long as shape and type say, and that no two tensors overlap.
struct Tensor {
  std::string name;                 ///< as in the file
  std::vector<std::int64_t> shape;  ///< outermost first, as Hugging Face writes it (GGUF's order reversed)
  std::optional<DType> dtype;       ///< nothing: a type that we do not compute with (U32, I64, IQ4_XS, …)
  std::string type_name;            ///< the file's own name for the type
  std::span<const std::byte> data;
};

enum class CheckpointKind { kSafetensors, kMlx, kGguf };

/// An opened model: a Hugging Face directory, an MLX-quantised directory or a (split) GGUF file. All files
/// stay mapped for the life of the object; tensors point into the mappings.
class Checkpoint {
 public:
  /// Opens `path`: a directory with config.json and safetensors (single or sharded), or a .gguf file (of a
  /// split model, any part). Throws Error naming file and field for anything that does not hold together.
  [[nodiscard]] static std::unique_ptr<Checkpoint> open(const std::filesystem::path& path);

  virtual ~Checkpoint() = default;
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  [[nodiscard]] virtual CheckpointKind kind() const noexcept = 0;
  /// The path as the user gave it, for messages.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// The files that hold the tensors, as they were opened: all shards, all parts of a split model.
  [[nodiscard]] virtual std::vector<std::filesystem::path> weight_files() const = 0;
  /// All tensors: of a GGUF file in the order of its list, of safetensors in the order of their data, shard
  /// by shard.
  [[nodiscard]] std::span<const Tensor> tensors() const noexcept { return tensors_; }
  /// The tensor called `name`, or nullptr.
  [[nodiscard]] const Tensor* find(std::string_view name) const noexcept;

  /// config.json, parsed; nullptr for GGUF.
  [[nodiscard]] virtual const nlohmann::json* config_json() const noexcept = 0;
  /// generation_config.json, parsed; nullptr where there is none.
  [[nodiscard]] virtual const nlohmann::json* generation_config_json() const noexcept = 0;
  /// The metadata of a GGUF file; nullptr for directories.
  [[nodiscard]] virtual const GgufMetadata* gguf() const noexcept = 0;

 protected:
  explicit Checkpoint(std::filesystem::path path) : path_(std::move(path)) {}
  /// Takes the tensors over and builds the index by name. Throws Error on a name that occurs twice.
  void set_tensors(std::vector<Tensor> tensors);

  std::filesystem::path path_;

 private:
  std::vector<Tensor> tensors_;
  std::vector<std::uint32_t> by_name_;  // indices into tensors_, sorted by name
};

}  // namespace lattice
