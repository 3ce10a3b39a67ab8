#include "formats/gguf_reader.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "formats/byte_reader.h"
#include "formats/gguf_types.h"
#include "formats/gguf_value_reader.h"
#include "formats/tensor_layout.h"
#include "support/printable.h"

namespace lattice {
namespace {

struct Header {
  std::uint64_t tensor_count;
  std::uint64_t metadata_count;
};

Header read_header(ByteReader& reader) {
  const std::span<const std::byte> magic = reader.read_bytes(kGgufMagic.size(), "the magic number");
  if (std::memcmp(magic.data(), kGgufMagic.data(), kGgufMagic.size()) != 0) {
    fail("{}: not a GGUF file: it does not begin with \"GGUF\"", reader.file());
  }
  const auto version = reader.read<std::uint32_t>("the version");
  if (version != 2 && version != 3) {
    const bool swapped = version != 0 && (version & 0xffffu) == 0;
    if (swapped) fail("{}: a big-endian GGUF file; only little-endian ones are supported", reader.file());
    fail("{}: GGUF version {} is not supported (2 and 3 are)", reader.file(), version);
  }
  Header header{};
  header.tensor_count = reader.read<std::uint64_t>("the tensor count");
  header.metadata_count = reader.read<std::uint64_t>("the metadata count");
  return header;
}

/// Fails where `count` entries of at least `min_bytes` each cannot be in what is left of the file.
void check_count(const ByteReader& reader, std::string_view field, std::uint64_t count,
                 std::uint64_t min_bytes) {
  if (count > reader.remaining() / min_bytes) {
    fail("{}: {} {} is more than the {} bytes left in the file can hold", reader.file(), field, count,
         reader.remaining());
  }
}

GgufMetadata read_metadata(ByteReader& reader, std::uint64_t count) {
  constexpr std::uint64_t kMinBytes = 8 + 1 + 4 + 1;  // key length, key, type, value
  check_count(reader, "the metadata count", count, kMinBytes);
  GgufMetadata::Values values;
  GgufMetadata::Encodings encodings;
  GgufValueReader value_reader(reader);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view key = reader.read_string("a metadata key");
    check_name(reader.file(), "metadata key", key);
    auto [encoded, value] = value_reader.read(key);
    if (!values.emplace(key, std::move(value)).second) {
      fail("{}: metadata key {} occurs twice", reader.file(), printable(key));
    }
    encodings.emplace(key, encoded);
  }
  return {std::string(reader.file()), std::move(values), std::move(encodings)};
}

/// An entry of the tensor list: the tensor, still without data, and where its data begins and how long it is.
struct TensorEntry {
  Tensor tensor;
  std::uint64_t offset;
  std::uint64_t bytes;
};

std::vector<std::int64_t> read_shape(ByteReader& reader, const std::string& field) {
  const auto n_dims = reader.read<std::uint32_t>(field);
  if (n_dims > kGgufMaxDims)
    fail("{}: {} has {} dimensions; at most {} are allowed", reader.file(), field, n_dims, kGgufMaxDims);
  std::vector<std::int64_t> shape(n_dims);
  for (std::int64_t& dim : shape) {
    const auto value = reader.read<std::uint64_t>(field);
    if (value > std::numeric_limits<std::int64_t>::max())
      fail("{}: {} has a dimension of {}", reader.file(), field, value);
    dim = static_cast<std::int64_t>(value);
  }
  std::reverse(shape.begin(), shape.end());  // the file counts from the innermost
  return shape;
}

TensorEntry read_tensor_entry(ByteReader& reader) {
  const std::string_view name = reader.read_string("a tensor name");
  check_name(reader.file(), "tensor name", name);
  const std::string field = "tensor " + printable(name);
  std::vector<std::int64_t> shape = read_shape(reader, field);
  const auto type_id = reader.read<std::uint32_t>(field);
  const auto offset = reader.read<std::uint64_t>(field);

  const GgmlType* type = find_ggml_type(type_id);
  if (type == nullptr) fail("{}: {} has the unknown type {}", reader.file(), field, type_id);
  const std::uint64_t bytes = ggml_tensor_bytes(reader.file(), field, *type, shape);
  Tensor tensor{std::string(name), std::move(shape), type->dtype, std::string(type->name), {}};
  return {std::move(tensor), offset, bytes};
}

std::uint64_t read_alignment(std::string_view file, const GgufMetadata& metadata) {
  const std::int64_t alignment = metadata.find_int(kGgufAlignmentKey).value_or(kGgufDefaultAlignment);
  constexpr std::int64_t kMax = std::int64_t{1} << 30;
  if (alignment < 8 || alignment > kMax || (alignment & (alignment - 1)) != 0) {
    fail("{}: {} is {}, which is not a power of two from 8 on", file, kGgufAlignmentKey, alignment);
  }
  return static_cast<std::uint64_t>(alignment);
}

std::vector<Tensor> read_tensors(ByteReader& reader, std::uint64_t count, std::uint64_t alignment,
                                 std::span<const std::byte> file_bytes) {
  constexpr std::uint64_t kMinBytes = 8 + 1 + 4 + 4 + 8;  // name length, name, dimensions, type, offset
  check_count(reader, "the tensor count", count, kMinBytes);
  std::vector<TensorEntry> entries;
  entries.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) entries.push_back(read_tensor_entry(reader));

  // No overflow: positions are those of a file, and the alignment is at most 2^30.
  const std::uint64_t data_begin = (reader.position() + alignment - 1) / alignment * alignment;
  const std::uint64_t data_size = data_begin < file_bytes.size() ? file_bytes.size() - data_begin : 0;
  std::vector<Tensor> tensors;
  tensors.reserve(count);
  for (TensorEntry& entry : entries) {
    Tensor& tensor = entry.tensor;
    if (entry.offset % alignment != 0) {
      fail("{}: tensor {}: offset {} is not a multiple of the alignment {}", reader.file(),
           printable(tensor.name), entry.offset, alignment);
    }
    if (entry.offset > data_size || entry.bytes > data_size - entry.offset) {
      fail("{}: tensor {}: {} bytes at offset {} end past the tensor data of {} bytes", reader.file(),
           printable(tensor.name), entry.bytes, entry.offset, data_size);
    }
    if (entry.bytes != 0) tensor.data = file_bytes.subspan(data_begin + entry.offset, entry.bytes);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

GgufFile read_gguf(const std::string& file, std::span<const std::byte> bytes) {
  ByteReader reader(file, bytes);
  const Header header = read_header(reader);
  GgufMetadata metadata = read_metadata(reader, header.metadata_count);
  const std::uint64_t alignment = read_alignment(file, metadata);
  std::vector<Tensor> tensors = read_tensors(reader, header.tensor_count, alignment, bytes);
  (void)order_by_position(file, tensors);  // fails where two overlap
  return {std::move(metadata), std::move(tensors)};
}

}  // namespace lattice
