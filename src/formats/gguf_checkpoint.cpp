#include "formats/gguf_checkpoint.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/gguf_metadata.h"
#include "formats/gguf_reader.h"
#include "formats/weights_file.h"
#include "support/fail.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

/// Which part of how many a file says that it is (`split.no`, from 0, and `split.count`); 0 of 1 for a whole
/// model.
struct Split {
  std::int64_t no = 0;
  std::int64_t count = 1;
  friend bool operator==(const Split&, const Split&) = default;
};

Split split_of(const std::string& file, const GgufMetadata& metadata) {
  constexpr std::int64_t kMaxCount = 99999;  // five digits in the names
  Split split;
  split.count = metadata.find_int("split.count").value_or(0);
  if (split.count == 0) return {};
  split.no = metadata.get_int("split.no");
  if (split.count < 1 || split.count > kMaxCount) fail("{}: split.count is {}", file, split.count);
  if (split.no < 0 || split.no >= split.count) fail("{}: split.no is {} of {}", file, split.no, split.count);
  return split;
}

std::string split_suffix(const Split& split) {
  return fmt::format("-{:05}-of-{:05}.gguf", split.no + 1, split.count);
}

/// The path up to the part's number.
std::string split_prefix(const fs::path& path, const Split& split) {
  const std::string name = path.string();
  const std::string suffix = split_suffix(split);
  if (!name.ends_with(suffix)) {
    fail("{}: split.no and split.count say that it is part {} of {}, so its name must end in {}", name,
         split.no + 1, split.count, suffix);
  }
  return name.substr(0, name.size() - suffix.size());
}

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(MappedFile file) : Checkpoint(file.path()) {
    GgufFile given = read_gguf(path_.string(), file.bytes());
    const Split split = split_of(path_.string(), given.metadata);
    files_.push_back(std::move(file));
    if (split.count == 1) {
      metadata_ = std::move(given.metadata);
      set_tensors(std::move(given.tensors));
    } else {
      read_parts(split, std::move(given));
    }
  }

  CheckpointKind kind() const noexcept override { return CheckpointKind::kGguf; }
  const nlohmann::json* config_json() const noexcept override { return nullptr; }
  const nlohmann::json* generation_config_json() const noexcept override { return nullptr; }
  std::vector<fs::path> weight_files() const override { return paths_of(files_); }
  const GgufMetadata* gguf() const noexcept override { return &*metadata_; }

 private:
  /// The model's metadata are the first part's; its tensors, those of all parts in order.
  void read_parts(const Split& split, GgufFile given) {
    const std::string prefix = split_prefix(path_, split);
    std::vector<Tensor> tensors;
    for (std::int64_t no = 0; no < split.count; ++no) {
      std::optional<GgufFile> other;
      if (no != split.no) other = read_part(prefix, {no, split.count});
      GgufFile& part = other ? *other : given;
      std::ranges::move(part.tensors, std::back_inserter(tensors));
      if (no == 0) metadata_ = std::move(part.metadata);
    }
    const auto total = metadata_->find_int("split.tensors.count");
    if (total && *total != static_cast<std::int64_t>(tensors.size())) {
      fail("{}: split.tensors.count is {}, but the parts hold {} tensors", path_.string(), *total,
           tensors.size());
    }
    set_tensors(std::move(tensors));
  }

  GgufFile read_part(const std::string& prefix, const Split& split) {
    const std::string name = prefix + split_suffix(split);
    std::error_code ignored;
    if (!fs::exists(name, ignored)) {
      fail("{}: part {} of {} is missing: {}", path_.string(), split.no + 1, split.count, name);
    }
    const MappedFile& file = files_.emplace_back(map_weights(name));
    GgufFile part = read_gguf(name, file.bytes());
    if (split_of(name, part.metadata) != split) {
      fail("{}: split.no or split.count does not say part {} of {}", name, split.no + 1, split.count);
    }
    return part;
  }

  std::vector<MappedFile> files_;
  std::optional<GgufMetadata> metadata_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_gguf(MappedFile file) {
  return std::make_unique<GgufCheckpoint>(std::move(file));
}

}  // namespace lattice
