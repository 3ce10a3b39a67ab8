#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace lattice {

/// Which shard (a plain file name) holds which tensors.
using SafetensorsIndex = std::map<std::string, std::vector<std::string>>;

/// Reads the `weight_map` of a model.safetensors.index.json, which `file` names in messages. Throws Error
/// where a shard is not a plain file name: an index must not lead out of its directory.
[[nodiscard]] SafetensorsIndex read_safetensors_index(std::string_view file, const nlohmann::json& index);

}  // namespace lattice
