#include "formats/directory_checkpoint.h"

#include <algorithm>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "formats/json_file.h"
#include "formats/safetensors.h"
#include "formats/safetensors_index.h"
#include "formats/weights_file.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kConfig = "config.json";
constexpr const char* kGenerationConfig = "generation_config.json";
constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Json load_object(const fs::path& path) {
  Json json = load_json_file(path);
  if (!json.is_object()) fail("{}: not a JSON object", path.string());
  return json;
}

/// The names of the files in `directory` that end in `extension`, sorted.
std::vector<std::string> files_with_extension(const fs::path& directory, const char* extension) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == extension) names.push_back(it->path().filename().string());
  }
  if (error) fail("{}: cannot be listed: {}", directory.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

/// MLX marks what it has quantised by `quantization`; Hugging Face's own key is `quantization_config` (which
/// MLX writes as well, so that its presence tells nothing).
CheckpointKind kind_of(const fs::path& config_path, const Json& config) {
  const auto quantization = config.find("quantization");
  if (quantization == config.end() || quantization->is_null()) return CheckpointKind::kSafetensors;
  if (!quantization->is_object()) fail("{}: quantization is not a JSON object", config_path.string());
  return CheckpointKind::kMlx;
}

class DirectoryCheckpoint final : public Checkpoint {
 public:
  explicit DirectoryCheckpoint(const fs::path& path) : Checkpoint(path) {
    read_configs();
    if (is_there(path_ / kSingleFile)) {  // as in transformers, it goes before an index
      set_tensors(add_file(kSingleFile));
    } else if (is_there(path_ / kIndex)) {
      read_shards();
    } else {
      fail_without_weights();
    }
  }

  CheckpointKind kind() const noexcept override { return kind_; }
  const Json* config_json() const noexcept override { return &config_; }
  const Json* generation_config_json() const noexcept override {
    return generation_config_ ? &*generation_config_ : nullptr;
  }
  std::vector<fs::path> weight_files() const override { return paths_of(files_); }
  const GgufMetadata* gguf() const noexcept override { return nullptr; }

 private:
  void read_configs() {
    const fs::path config_path = path_ / kConfig;
    if (!is_there(config_path)) {
      const std::vector<std::string> ggufs = files_with_extension(path_, ".gguf");
      if (!ggufs.empty()) {
        fail("{}: a directory without {}; to open a GGUF model give the file, for example {}", path_.string(),
             kConfig, (path_ / ggufs.front()).string());
      }
      fail("{}: not a model directory: it has no {}", path_.string(), kConfig);
    }
    config_ = load_object(config_path);
    kind_ = kind_of(config_path, config_);
    const fs::path generation_path = path_ / kGenerationConfig;
    if (is_there(generation_path)) generation_config_ = load_object(generation_path);
  }

  std::vector<Tensor> add_file(const std::string& name) {
    const MappedFile& file = files_.emplace_back(map_weights(path_ / name));
    return read_safetensors(file.path().string(), file.bytes());
  }

  void read_shards() {
    const fs::path index_path = path_ / kIndex;
    const SafetensorsIndex index = read_safetensors_index(index_path.string(), load_json_file(index_path));
    std::vector<Tensor> tensors;
    for (const auto& [shard, names] : index) {
      if (!is_there(path_ / shard)) {
        fail("{}: weight_map: shard {} is not in the directory", index_path.string(), printable(shard));
      }
      read_shard(shard, names, tensors);
    }
    set_tensors(std::move(tensors));
  }

  /// Appends the tensors called `names` (sorted) of one shard. What the index does not name is no part of the
  /// model.
  void read_shard(const std::string& shard, const std::vector<std::string>& names,
                  std::vector<Tensor>& tensors) {
    std::size_t found = 0;
    std::vector<bool> is_found(names.size());
    for (Tensor& tensor : add_file(shard)) {
      const auto name = std::lower_bound(names.begin(), names.end(), tensor.name);
      if (name == names.end() || *name != tensor.name) continue;
      is_found[static_cast<std::size_t>(name - names.begin())] = true;
      ++found;
      tensors.push_back(std::move(tensor));
    }
    if (found == names.size()) return;
    const auto missing = std::find(is_found.begin(), is_found.end(), false) - is_found.begin();
    fail("{}: tensor {} is missing, which {} expects here", (path_ / shard).string(),
         printable(names[static_cast<std::size_t>(missing)]), kIndex);
  }

  [[noreturn]] void fail_without_weights() const {
    const std::vector<std::string> shards = files_with_extension(path_, ".safetensors");
    if (shards.empty())
      fail("{}: has a {} but no weights ({} or {})", path_.string(), kConfig, kSingleFile, kIndex);
    fail("{}: has {} .safetensors files ({}, …) but neither {} nor {}, which says what they hold",
         path_.string(), shards.size(), shards.front(), kSingleFile, kIndex);
  }

  CheckpointKind kind_ = CheckpointKind::kSafetensors;
  Json config_;
  std::optional<Json> generation_config_;
  std::vector<MappedFile> files_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_directory(const std::filesystem::path& path) {
  return std::make_unique<DirectoryCheckpoint>(path);
}

}  // namespace lattice
