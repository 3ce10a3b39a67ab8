#include "formats/gguf_value_reader.h"

#include <limits>
#include <string>
#include <variant>

#include "support/printable.h"

namespace lattice {
namespace {

using Value = GgufMetadata::Value;

// An int8 in the file takes eight bytes here, so that the file's size alone is no sufficient bound. A model
// of today has less than a million elements (tokens, merges, scores).
constexpr std::uint64_t kMaxArrayElements = std::uint64_t{1} << 24;

}  // namespace

GgufValueReader::Result GgufValueReader::read(std::string_view key) {
  const std::string field = "metadata key " + printable(key);
  ByteReader encoded = reader_;
  const auto type = GgufType{reader_.read<std::uint32_t>(field)};
  Value value = type == GgufType::kArray ? read_array(field) : read_scalar(type, field);
  return {encoded.read_bytes(reader_.position() - encoded.position(), field), std::move(value)};
}

bool GgufValueReader::read_bool(std::string_view field) {
  const auto byte = reader_.read<std::uint8_t>(field);
  if (byte > 1) fail("{}: {} is a boolean with the value {}", reader_.file(), field, byte);
  return byte == 1;
}

Value GgufValueReader::read_scalar(GgufType type, std::string_view field) {
  switch (type) {
    case GgufType::kUint8:
      return std::int64_t{reader_.read<std::uint8_t>(field)};
    case GgufType::kInt8:
      return std::int64_t{reader_.read<std::int8_t>(field)};
    case GgufType::kUint16:
      return std::int64_t{reader_.read<std::uint16_t>(field)};
    case GgufType::kInt16:
      return std::int64_t{reader_.read<std::int16_t>(field)};
    case GgufType::kUint32:
      return std::int64_t{reader_.read<std::uint32_t>(field)};
    case GgufType::kInt32:
      return std::int64_t{reader_.read<std::int32_t>(field)};
    case GgufType::kInt64:
      return reader_.read<std::int64_t>(field);
    case GgufType::kUint64: {
      const auto value = reader_.read<std::uint64_t>(field);
      if (value > std::numeric_limits<std::int64_t>::max()) return value;
      return static_cast<std::int64_t>(value);
    }
    case GgufType::kFloat32:
      return double{reader_.read<float>(field)};
    case GgufType::kFloat64:
      return reader_.read<double>(field);
    case GgufType::kBool:
      return read_bool(field);
    case GgufType::kString:
      return reader_.read_string(field);
    case GgufType::kArray:
      break;
  }
  fail("{}: {} has the unknown type {}", reader_.file(), field, static_cast<std::uint32_t>(type));
}

GgufMetadata::IntArray GgufValueReader::read_ints(GgufType type, std::uint64_t count,
                                                  std::string_view field) {
  GgufMetadata::IntArray out;
  out.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Value value = read_scalar(type, field);
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      out.push_back(*integer);
    } else if (const auto* boolean = std::get_if<bool>(&value)) {
      out.push_back(*boolean ? 1 : 0);
    } else {
      fail("{}: {}: element {} does not fit in 64 bits with a sign", reader_.file(), field, i);
    }
  }
  return out;
}

Value GgufValueReader::read_array(std::string_view field) {
  const auto type = GgufType{reader_.read<std::uint32_t>(field)};
  const auto count = reader_.read<std::uint64_t>(field);
  const auto min_bytes = gguf_min_bytes(type);
  if (!min_bytes) {
    fail("{}: {} is an array of the unknown type {}", reader_.file(), field,
         static_cast<std::uint32_t>(type));
  }
  if (type == GgufType::kArray)
    fail("{}: {} is an array of arrays, which is not supported", reader_.file(), field);
  if (count > reader_.remaining() / *min_bytes) {
    fail("{}: {} has {} elements, more than the {} bytes left in the file can hold", reader_.file(), field,
         count, reader_.remaining());
  }
  if (count > kMaxArrayElements - array_elements_) {
    fail("{}: {} brings the metadata to more than {} array elements", reader_.file(), field,
         kMaxArrayElements);
  }
  array_elements_ += count;

  if (type == GgufType::kString) {
    GgufMetadata::StringArray out;
    out.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) out.push_back(reader_.read_string(field));
    return out;
  }
  if (type == GgufType::kFloat32 || type == GgufType::kFloat64) {
    GgufMetadata::FloatArray out;
    out.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) out.push_back(std::get<double>(read_scalar(type, field)));
    return out;
  }
  return read_ints(type, count, field);
}

}  // namespace lattice
