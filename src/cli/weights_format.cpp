#include "cli/weights_format.h"

#include <algorithm>
#include <map>

namespace lattice::cli {

std::string weights_format(const Checkpoint& checkpoint) {
  std::map<std::string, std::size_t> bytes;
  for (const Tensor& tensor : checkpoint.tensors()) bytes[tensor.type_name] += tensor.data.size();
  const auto most = std::ranges::max_element(bytes, {}, [](const auto& entry) { return entry.second; });
  if (most == bytes.end()) return "none";
  // MLX packs its integers of any width into words.
  return checkpoint.kind() == CheckpointKind::kMlx && most->first == "U32" ? "MLX affine" : most->first;
}

}  // namespace lattice::cli
