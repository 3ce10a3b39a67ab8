#include "formats/safetensors_index.h"

#include <nlohmann/json.hpp>

#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

constexpr std::string_view kSuffix = ".safetensors";

bool is_plain_file_name(std::string_view name) {
  constexpr std::string_view kForbidden{"/\\\0", 3};
  return name.size() > kSuffix.size() && name.ends_with(kSuffix) && name.front() != '.' &&
         name.find_first_of(kForbidden) == std::string_view::npos;
}

}  // namespace

SafetensorsIndex read_safetensors_index(std::string_view file, const nlohmann::json& index) {
  const auto weight_map = index.is_object() ? index.find("weight_map") : index.end();
  if (weight_map == index.end() || !weight_map->is_object())
    fail("{}: weight_map is not a JSON object", file);
  if (weight_map->empty()) fail("{}: weight_map names no tensors", file);
  SafetensorsIndex shards;
  for (const auto& [tensor, shard] : weight_map->items()) {
    if (!shard.is_string()) fail("{}: weight_map: the shard of {} is not a string", file, printable(tensor));
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_file_name(name)) {
      fail("{}: weight_map: the shard of {} is {}, which is not a plain name of a .safetensors file", file,
           printable(tensor), printable(name));
    }
    shards[name].push_back(tensor);
  }
  return shards;
}

}  // namespace lattice
