#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "quant/dtype.h"

namespace lattice {

/// A type of tensor elements in safetensors.
struct SafetensorsType {
  std::string_view name;
  std::int64_t bits;
  std::optional<DType> dtype;  ///< nothing: a type that we do not compute with
};

/// The type called `name`, or nullptr.
[[nodiscard]] const SafetensorsType* find_safetensors_type(std::string_view name) noexcept;

}  // namespace lattice
