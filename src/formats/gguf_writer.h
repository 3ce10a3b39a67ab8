#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "formats/byte_writer.h"
#include "formats/gguf_metadata.h"
#include "formats/gguf_types.h"
#include "formats/output_file.h"
#include "formats/tensor_data_writer.h"

namespace lattice {

/// Writes a GGUF file, version 3: first metadata and the list of tensors, which are held in memory, then the
/// tensors' data, in pieces of any size, which is not. The file appears under its name when finish() returns;
/// where something fails, nothing of it stays. Throws Error naming the file where it cannot be written, and
/// Error(kUsage) on wrong use.
class GgufWriter {
 public:
  explicit GgufWriter(const std::filesystem::path& target);

  /// Adds one metadata pair. The value's C++ type (uint8_t … double, bool) decides the type in the file.
  template <GgufScalar T>
  void add(std::string_view key, T value) {
    begin_value(key, GgufTypeOf<T>::value);
    metadata_.put(value);
  }
  void add(std::string_view key, std::string_view value);
  template <GgufScalar T>
  void add_array(std::string_view key, std::span<const T> values) {
    begin_array(key, GgufTypeOf<T>::value, values.size());
    for (const T value : values) metadata_.put(value);
  }
  void add_array(std::string_view key, std::span<const std::string_view> values);

  /// Copies every pair of `from`, with its exact type, except those with keys that were added before, those
  /// that describe the other file and not the model (general.alignment, split.*), and those that begin with
  /// one of `left_out`.
  void copy_missing(const GgufMetadata& from, std::span<const std::string_view> left_out = {});

  /// Adds a tensor to the list. `shape` is outermost first.
  void add_tensor(const std::string& name, std::span<const std::int64_t> shape, const GgmlType& type);

  /// Appends `bytes` to the data of tensor `name`. Tensors come one after another in the order of the list.
  /// After the first call nothing can be added to metadata and list.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// Completes the file. Throws Error(kUsage) where a tensor has not got all of its data.
  void finish();

 private:
  void begin_value(std::string_view key, GgufType type);
  void begin_array(std::string_view key, GgufType type, std::size_t count);
  void begin_pair(std::string_view key);
  void check_list_open() const;
  void write_header();

  OutputFile file_;
  TensorDataWriter data_;
  ByteWriter metadata_;
  ByteWriter tensors_;
  std::set<std::string, std::less<>> keys_;
  std::uint64_t tensor_count_ = 0;
  bool header_written_ = false;
};

}  // namespace lattice
