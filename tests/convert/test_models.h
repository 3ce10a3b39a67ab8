#pragma once

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "formats/fixtures.h"
#include "formats/gguf_metadata.h"
#include "formats/gguf_types.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors_writer.h"
#include "model/golden.h"

namespace lattice {

/// Float tensors that replace those of the same name.
using Replacements = std::map<std::string, std::vector<float>>;

/// Writes a copy of the Hugging Face checkpoint at `from` into `directory`, in which the tensors named in
/// `replacements` are F32 with other values.
inline void copy_model(const std::filesystem::path& from, const std::filesystem::path& directory,
                       const Replacements& replacements) {
  const auto source = Checkpoint::open(from);
  write_file(directory / "config.json", file_contents(from / "config.json"));
  SafetensorsWriter writer(directory / "model.safetensors");
  for (const Tensor& tensor : source->tensors()) {
    writer.add_tensor(tensor.name, tensor.shape,
                      replacements.contains(tensor.name) ? "F32" : tensor.type_name);
  }
  for (const Tensor& tensor : source->tensors()) {
    const auto replaced = replacements.find(tensor.name);
    writer.write(tensor.name,
                 replaced == replacements.end() ? tensor.data : std::as_bytes(std::span(replaced->second)));
  }
  writer.finish();
}

/// Writes into `directory` a model of a few kilobytes a layer that has the shipped model's tokenizer and
/// generation config, so that tests of these need not write the shipped model's weights.
inline void write_small_story(const std::filesystem::path& directory) {
  constexpr std::int64_t kVocab = 8192;
  const std::filesystem::path base = golden::find_case("base").model;
  nlohmann::json config = golden::read_json(base / "config.json");
  config["vocab_size"] = kVocab;
  config["eos_token_id"] = 8187;
  write_file(directory / "config.json", config.dump());
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    std::filesystem::copy(golden::shipped_model_path() / name, directory / name);
  }
  const auto source = Checkpoint::open(base);
  const auto has_vocab_rows = [](const Tensor& tensor) {
    return tensor.name == "model.embed_tokens.weight" || tensor.name == "lm_head.weight";
  };
  SafetensorsWriter writer(directory / "model.safetensors");
  for (const Tensor& tensor : source->tensors()) {
    std::vector<std::int64_t> shape = tensor.shape;
    if (has_vocab_rows(tensor)) shape[0] = kVocab;
    writer.add_tensor(tensor.name, shape, tensor.type_name);
  }
  for (const Tensor& tensor : source->tensors()) {
    const std::size_t row_bytes = tensor.data.size() / static_cast<std::size_t>(tensor.shape[0]);
    const std::vector<std::byte> zeros(static_cast<std::size_t>(kVocab) * row_bytes);
    writer.write(tensor.name, has_vocab_rows(tensor) ? std::span<const std::byte>(zeros) : tensor.data);
  }
  writer.finish();
}

/// The values of a tensor of a float type, for a test to change some.
inline std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& name) {
  const Tensor* tensor = checkpoint.find(name);
  if (tensor == nullptr) throw Error("no tensor " + name);
  std::int64_t count = 1;
  for (const std::int64_t dim : tensor->shape) count *= dim;
  std::vector<float> out(static_cast<std::size_t>(count));
  dequantize_row({*tensor->dtype, 1, count, tensor->data.data(), {}}, 0, out);
  return out;
}

/// Writes a copy of the GGUF file `from` to `to`: first what `add` adds, then the rest of its metadata, and
/// the same tensors.
inline void copy_gguf(const std::filesystem::path& from, const std::filesystem::path& to,
                      const std::function<void(GgufWriter&)>& add) {
  const auto source = Checkpoint::open(from);
  GgufWriter writer(to);
  add(writer);
  writer.copy_missing(*source->gguf());
  for (const Tensor& tensor : source->tensors()) {
    writer.add_tensor(tensor.name, tensor.shape, *find_ggml_type(tensor.type_name));
  }
  for (const Tensor& tensor : source->tensors()) writer.write(tensor.name, tensor.data);
  writer.finish();
}

}  // namespace lattice
