#include "formats/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <system_error>
#include <utility>

#include "formats/directory_checkpoint.h"
#include "formats/gguf_checkpoint.h"
#include "formats/gguf_types.h"
#include "formats/weights_file.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

constexpr const char* kWhatToGive =
    "give a model directory (config.json and model.safetensors) or a .gguf file";

bool begins_with(std::span<const std::byte> bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

}  // namespace

std::unique_ptr<Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail("{}: no such file or directory; {}", path.string(), kWhatToGive);
  if (std::filesystem::is_directory(status)) return open_directory(path);
  if (path.extension() == ".safetensors") {
    fail("{}: weights without their configuration; give the directory that holds them and config.json",
         path.string());
  }
  MappedFile file = map_weights(path);
  const bool is_gguf = begins_with(file.bytes(), kGgufMagic) || path.extension() == ".gguf";
  if (!is_gguf) fail("{}: not a GGUF file; {}", path.string(), kWhatToGive);
  return open_gguf(std::move(file));
}

const Tensor* Checkpoint::find(std::string_view name) const noexcept {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [this](std::uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

void Checkpoint::set_tensors(std::vector<Tensor> tensors) {
  if (tensors.size() > std::numeric_limits<std::uint32_t>::max())
    fail("{}: too many tensors", path_.string());
  tensors_ = std::move(tensors);
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::uint32_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [this](std::uint32_t a, std::uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  const auto twice = std::adjacent_find(
      by_name_.begin(), by_name_.end(),
      [this](std::uint32_t a, std::uint32_t b) { return tensors_[a].name == tensors_[b].name; });
  if (twice != by_name_.end()) {
    fail("{}: tensor {} occurs twice", path_.string(), printable(tensors_[*twice].name));
  }
}

}  // namespace lattice
