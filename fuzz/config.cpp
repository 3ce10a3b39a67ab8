// config.json and, after a byte 0, generation_config.json, over the tensors of a small MLX checkpoint.

#include "model/config.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "formats/fixtures.h"
#include "formats/json_file.h"
#include "formats/memory_checkpoint.h"
#include "model/weights.h"
#include "promises.h"

namespace lattice::fuzz {
namespace {

const Checkpoint& tensors_of_a_model() {
  static const std::unique_ptr<Checkpoint> model =
      Checkpoint::open(std::filesystem::path(LATTICE_SOURCE_DIR) / "tests" / "data" / "model" / "base_mlx");
  return *model;
}

nlohmann::json object(std::string_view text) {
  nlohmann::json json = parse_json(text, "fuzz");
  // The directory's reader lets nothing else through.
  if (!json.is_object()) throw Error("fuzz: not a JSON object");
  return json;
}

}  // namespace
}  // namespace lattice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lattice;
  const ExactBytes bytes = fuzz::input(data, size);
  fuzz::run("fuzz", [&] {
    const std::string_view text = bytes.text();
    const std::size_t end = std::min(text.find('\0'), text.size());
    nlohmann::json config = fuzz::object(text.substr(0, end));
    std::optional<nlohmann::json> generation_config;
    if (end != text.size()) generation_config = fuzz::object(text.substr(end + 1));
    const auto quantization = config.find("quantization");
    const bool mlx = quantization != config.end() && quantization->is_object();
    const auto tensors = fuzz::tensors_of_a_model().tensors();
    const MemoryCheckpoint checkpoint("fuzz", mlx ? CheckpointKind::kMlx : CheckpointKind::kSafetensors,
                                      std::move(config), std::move(generation_config),
                                      {tensors.begin(), tensors.end()});
    const Config read = Config::from(checkpoint);
    fuzz::expect(read.state_bytes() >= 0 && read.kv_bytes_per_token(4) >= 0, "products of dimensions fit");
    fuzz::expect(Weights::bind(checkpoint, read).bytes_per_token() > 0, "a model has weights");
  });
  return 0;
}
