#pragma once

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

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
