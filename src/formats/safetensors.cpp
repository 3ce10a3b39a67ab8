#include "formats/safetensors.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "formats/byte_reader.h"
#include "formats/json_file.h"
#include "formats/safetensors_types.h"
#include "formats/tensor_layout.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxJsonBytes = 100'000'000;  // as in huggingface/safetensors
constexpr std::size_t kMaxDims = 16;

/// What a message is about.
struct Place {
  std::string_view file;
  std::string field;
};

const Json& member(const Place& place, const Json& entry, const char* name) {
  const auto found = entry.find(name);
  if (found == entry.end()) fail("{}: {} has no {}", place.file, place.field, name);
  return *found;
}

/// The elements of the array `name`: integers from 0 to 2^63 − 1.
std::vector<std::int64_t> integers(const Place& place, const Json& entry, const char* name,
                                   std::size_t max_count) {
  const Json& array = member(place, entry, name);
  if (!array.is_array() || array.size() > max_count) {
    fail("{}: {}: {} is not an array of at most {} integers", place.file, place.field, name, max_count);
  }
  std::vector<std::int64_t> out;
  out.reserve(array.size());
  for (const Json& element : array) {
    if (!element.is_number_unsigned() ||
        element.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
      fail("{}: {}: {} holds something else than integers from 0 to 2^63 - 1", place.file, place.field, name);
    }
    out.push_back(element.get<std::int64_t>());
  }
  return out;
}

const SafetensorsType& type_of(const Place& place, const Json& entry) {
  const Json& dtype = member(place, entry, "dtype");
  if (!dtype.is_string()) fail("{}: {}: dtype is not a string", place.file, place.field);
  const auto& name = dtype.get_ref<const std::string&>();
  const SafetensorsType* type = find_safetensors_type(name);
  if (type == nullptr) fail("{}: {} has the unknown dtype {}", place.file, place.field, printable(name));
  return *type;
}

Tensor read_entry(std::string_view file, const std::string& name, const Json& entry,
                  std::span<const std::byte> data) {
  check_name(file, "tensor name", name);
  const Place place{file, "tensor " + printable(name)};
  if (!entry.is_object()) fail("{}: {} is not described by a JSON object", file, place.field);
  const SafetensorsType& type = type_of(place, entry);
  std::vector<std::int64_t> shape = integers(place, entry, "shape", kMaxDims);
  const std::vector<std::int64_t> offsets = integers(place, entry, "data_offsets", 2);
  const auto size = static_cast<std::int64_t>(data.size());
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail("{}: {}: data_offsets are not a begin and an end", file, place.field);
  }
  if (offsets[1] > size) {
    fail("{}: {}: data_offsets end at {}, past the tensor data of {} bytes", file, place.field, offsets[1],
         size);
  }
  const std::uint64_t bytes = safetensors_tensor_bytes(file, place.field, type, shape);
  if (static_cast<std::uint64_t>(offsets[1] - offsets[0]) != bytes) {
    fail("{}: {}: shape {} of {} takes {} bytes, but data_offsets span {}", file, place.field,
         shape_string(shape), type.name, bytes, offsets[1] - offsets[0]);
  }
  return {name, std::move(shape), type.dtype, std::string(type.name), data.subspan(offsets[0], bytes)};
}

/// Fails where the data of the tensors, in order, does not cover `data` exactly: bytes that belong to no
/// tensor are the sign of a damaged file.
void check_covered(std::string_view file, std::span<const std::byte> data,
                   const std::vector<const Tensor*>& ordered) {
  const std::byte* end = data.data();
  for (const Tensor* tensor : ordered) {
    if (tensor->data.data() != end) {
      fail("{}: {} bytes before the data of tensor {} belong to no tensor", file, tensor->data.data() - end,
           printable(tensor->name));
    }
    end += tensor->data.size();
  }
  const auto left = data.data() + data.size() - end;
  if (left != 0) fail("{}: the last {} bytes belong to no tensor", file, left);
}

}  // namespace

std::vector<Tensor> read_safetensors(std::string_view file, std::span<const std::byte> bytes) {
  ByteReader reader(file, bytes);
  const auto header_bytes = reader.read<std::uint64_t>("the header length");
  if (header_bytes > kMaxJsonBytes || header_bytes > reader.remaining()) {
    fail(
        "{}: not a safetensors file, or a damaged one: a header of {} bytes cannot be in {} bytes (or is "
        "above {})",
        file, header_bytes, bytes.size(), kMaxJsonBytes);
  }
  const std::span<const std::byte> header_span = reader.read_bytes(header_bytes, "the header");
  const std::string_view text(reinterpret_cast<const char*>(header_span.data()), header_span.size());
  const Json header = parse_json(text, file);
  if (!header.is_object()) fail("{}: the header is not a JSON object", file);

  const std::span<const std::byte> data = bytes.subspan(reader.position());
  std::vector<Tensor> tensors;
  tensors.reserve(header.size());
  for (const auto& [name, entry] : header.items()) {
    if (name != kSafetensorsMetadataKey) tensors.push_back(read_entry(file, name, entry, data));
  }
  const std::vector<const Tensor*> ordered = order_by_position(file, tensors);
  check_covered(file, data, ordered);

  std::vector<Tensor> out;
  out.reserve(tensors.size());
  for (const Tensor* tensor : ordered) out.push_back(*tensor);
  return out;
}

}  // namespace lattice
