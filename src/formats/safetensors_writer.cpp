#include "formats/safetensors_writer.h"

#include "formats/byte_writer.h"
#include "formats/safetensors_types.h"
#include "formats/tensor_layout.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& target) : file_(target), data_(file_, 1) {}

void SafetensorsWriter::add_metadata(const std::string& key, const std::string& value) {
  check_list_open();
  header_[kSafetensorsMetadataKey][key] = value;
}

void SafetensorsWriter::add_tensor(const std::string& name, std::span<const std::int64_t> shape,
                                   std::string_view type_name) {
  check_list_open();
  const std::string file = file_.path().string();
  check_name(file, "tensor name", name);
  if (name == kSafetensorsMetadataKey) fail_usage("{}: {} is no name for a tensor", file, printable(name));
  const SafetensorsType* type = find_safetensors_type(type_name);
  if (type == nullptr) fail_usage("{}: tensor {}: no type {}", file, printable(name), printable(type_name));
  const std::uint64_t bytes = safetensors_tensor_bytes(file, "tensor " + printable(name), *type, shape);
  const std::uint64_t offset = data_.place(name, bytes);
  header_[name] = {{"dtype", type_name}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  if (!header_written_) write_header();
  data_.write(name, bytes);
}

void SafetensorsWriter::finish() {
  if (!header_written_) write_header();
  data_.finish();
  file_.commit();
}

void SafetensorsWriter::check_list_open() const {
  if (header_written_) fail_usage("{}: metadata or tensors added after data", file_.path().string());
}

void SafetensorsWriter::write_header() {
  header_written_ = true;
  std::string text = header_.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  ByteWriter header;
  header.put_string(text);
  file_.require_space(header.bytes().size() + data_.total_bytes());
  file_.write(header.bytes());
}

}  // namespace lattice
