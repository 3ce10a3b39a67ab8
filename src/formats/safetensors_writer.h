#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "formats/output_file.h"
#include "formats/tensor_data_writer.h"

namespace lattice {

/// Writes a safetensors file: first the list of tensors, then their data, in pieces of any size. The file
/// appears under its name when finish() returns; where something fails, nothing of it stays. Throws Error
/// naming the file where it cannot be written, and Error(kUsage) on wrong use.
class SafetensorsWriter {
 public:
  explicit SafetensorsWriter(const std::filesystem::path& target);

  /// Adds a pair to the file's metadata. (transformers asks for "format", "pt".)
  void add_metadata(const std::string& key, const std::string& value);
  /// Adds a tensor to the list. `type_name` is the format's own ("BF16", "U32").
  void add_tensor(const std::string& name, std::span<const std::int64_t> shape, std::string_view type_name);

  /// Appends `bytes` to the data of tensor `name`. Tensors come one after another in the order of the list.
  /// After the first call nothing can be added to metadata and list.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// Completes the file. Throws Error(kUsage) where a tensor has not got all of its data.
  void finish();

 private:
  void check_list_open() const;
  void write_header();

  OutputFile file_;
  TensorDataWriter data_;
  nlohmann::json header_ = nlohmann::json::object();
  bool header_written_ = false;
};

}  // namespace lattice
