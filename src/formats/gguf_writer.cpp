#include "formats/gguf_writer.h"

#include <algorithm>

#include "formats/tensor_layout.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::size_t kMaxTensorNameBytes = 63;  // GGML_MAX_NAME of include/ggml.h, less the terminating zero

bool describes_file(std::string_view key) {
  return key == kGgufAlignmentKey || key.starts_with("split.");
}

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& target)
    : file_(target), data_(file_, kGgufDefaultAlignment) {}

void GgufWriter::add(std::string_view key, std::string_view value) {
  begin_value(key, GgufType::kString);
  metadata_.put_string(value);
}

void GgufWriter::add_array(std::string_view key, std::span<const std::string_view> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string_view value : values) metadata_.put_string(value);
}

void GgufWriter::copy_missing(const GgufMetadata& from, std::span<const std::string_view> left_out) {
  for (const auto& [key, value] : from.all()) {
    const auto begins_key = [&key = key](std::string_view prefix) { return key.starts_with(prefix); };
    if (describes_file(key) || keys_.contains(key) || std::ranges::any_of(left_out, begins_key)) continue;
    begin_pair(key);
    metadata_.put_bytes(from.encoded(key));
  }
}

void GgufWriter::add_tensor(const std::string& name, std::span<const std::int64_t> shape,
                            const GgmlType& type) {
  check_list_open();
  const std::string file = file_.path().string();
  const std::string field = "tensor " + printable(name);
  check_name(file, "tensor name", name);
  if (name.size() > kMaxTensorNameBytes) fail("{}: the name of {} is longer than GGUF allows", file, field);
  if (shape.size() > kGgufMaxDims)
    fail("{}: {} has more than GGUF's {} dimensions", file, field, kGgufMaxDims);
  const std::uint64_t offset = data_.place(name, ggml_tensor_bytes(file, field, type, shape));
  tensors_.put_string(name);
  tensors_.put(static_cast<std::uint32_t>(shape.size()));
  for (std::size_t i = shape.size(); i-- > 0;) tensors_.put(static_cast<std::uint64_t>(shape[i]));
  tensors_.put(type.id);
  tensors_.put(offset);
  ++tensor_count_;
}

void GgufWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  if (!header_written_) write_header();
  data_.write(name, bytes);
}

void GgufWriter::finish() {
  if (!header_written_) write_header();
  data_.finish();
  file_.commit();
}

void GgufWriter::begin_value(std::string_view key, GgufType type) {
  begin_pair(key);
  metadata_.put(static_cast<std::uint32_t>(type));
}

void GgufWriter::begin_array(std::string_view key, GgufType type, std::size_t count) {
  begin_value(key, GgufType::kArray);
  metadata_.put(static_cast<std::uint32_t>(type));
  metadata_.put(std::uint64_t{count});
}

void GgufWriter::begin_pair(std::string_view key) {
  check_list_open();
  const std::string file = file_.path().string();
  check_name(file, "metadata key", key);
  if (describes_file(key)) fail_usage("{}: metadata key {} is the writer's own", file, printable(key));
  if (!keys_.emplace(key).second) fail_usage("{}: metadata key {} is added twice", file, printable(key));
  metadata_.put_string(key);
}

void GgufWriter::check_list_open() const {
  if (header_written_) fail_usage("{}: metadata or tensors added after data", file_.path().string());
}

void GgufWriter::write_header() {
  header_written_ = true;
  ByteWriter header;
  header.put_bytes(std::as_bytes(std::span(kGgufMagic)));
  header.put(kVersion);
  header.put(tensor_count_);
  header.put(std::uint64_t{keys_.size()});
  const std::uint64_t size = header.bytes().size() + metadata_.bytes().size() + tensors_.bytes().size();
  const std::uint64_t padding =
      (kGgufDefaultAlignment - size % kGgufDefaultAlignment) % kGgufDefaultAlignment;
  file_.require_space(size + padding + data_.total_bytes());
  file_.write(header.bytes());
  file_.write(metadata_.bytes());
  file_.write(tensors_.bytes());
  file_.write_zeros(padding);
}

}  // namespace lattice
