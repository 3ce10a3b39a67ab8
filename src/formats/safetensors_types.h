#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "quant/dtype.h"

namespace lattice {

/// The key of a safetensors header that names no tensor.
inline constexpr const char* kSafetensorsMetadataKey = "__metadata__";

/// A type of tensor elements in safetensors.
struct SafetensorsType {
  std::string_view name;
  std::int64_t bits;
  std::optional<DType> dtype;  ///< nothing: a type that we do not compute with
};

/// The type called `name`, or nullptr.
[[nodiscard]] const SafetensorsType* find_safetensors_type(std::string_view name) noexcept;

/// The bytes that a tensor of `shape` takes. Throws Error naming `file` and `field` where they are not a
/// whole number or do not fit.
[[nodiscard]] std::uint64_t safetensors_tensor_bytes(std::string_view file, std::string_view field,
                                                     const SafetensorsType& type,
                                                     std::span<const std::int64_t> shape);

}  // namespace lattice
