#include "formats/gguf_metadata.h"

#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

[[noreturn]] void fail_missing(std::string_view file, std::string_view key) {
  fail("{}: metadata key {} is missing", file, printable(key));
}

}  // namespace

template <typename T>
const T* GgufMetadata::find(std::string_view key, std::string_view wanted) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) fail("{}: metadata key {} is not {}", file_, printable(key), wanted);
  return value;
}

std::optional<std::int64_t> GgufMetadata::find_int(std::string_view key) const {
  const auto* value = find<std::int64_t>(key, "an integer of at most 64 bits with a sign");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<double> GgufMetadata::find_float(std::string_view key) const {
  const auto* value = find<double>(key, "a floating-point number");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<bool> GgufMetadata::find_bool(std::string_view key) const {
  const auto* value = find<bool>(key, "a boolean");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::string_view> GgufMetadata::find_string(std::string_view key) const {
  const auto* value = find<std::string_view>(key, "a string");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

const GgufMetadata::StringArray* GgufMetadata::find_strings(std::string_view key) const {
  return find<StringArray>(key, "an array of strings");
}

const GgufMetadata::IntArray* GgufMetadata::find_ints(std::string_view key) const {
  return find<IntArray>(key, "an array of integers");
}

const GgufMetadata::FloatArray* GgufMetadata::find_floats(std::string_view key) const {
  return find<FloatArray>(key, "an array of floating-point numbers");
}

std::int64_t GgufMetadata::get_int(std::string_view key) const {
  const auto value = find_int(key);
  if (!value) fail_missing(file_, key);
  return *value;
}

double GgufMetadata::get_float(std::string_view key) const {
  const auto value = find_float(key);
  if (!value) fail_missing(file_, key);
  return *value;
}

std::string_view GgufMetadata::get_string(std::string_view key) const {
  const auto value = find_string(key);
  if (!value) fail_missing(file_, key);
  return *value;
}

const GgufMetadata::StringArray& GgufMetadata::get_strings(std::string_view key) const {
  const StringArray* value = find_strings(key);
  if (value == nullptr) fail_missing(file_, key);
  return *value;
}

std::span<const std::byte> GgufMetadata::encoded(std::string_view key) const {
  const auto found = encodings_.find(key);
  if (found == encodings_.end()) fail_missing(file_, key);
  return found->second;
}

}  // namespace lattice
