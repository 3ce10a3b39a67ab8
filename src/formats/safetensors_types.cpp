#include "formats/safetensors_types.h"

#include <algorithm>
#include <array>

#include "formats/tensor_layout.h"
#include "support/checked.h"
#include "support/fail.h"

namespace lattice {
namespace {

// enum Dtype of safetensors/src/tensor.rs in huggingface/safetensors 0.8.
constexpr std::array kTypes = {
    SafetensorsType{"F32", 32, DType::kF32},         SafetensorsType{"F16", 16, DType::kF16},
    SafetensorsType{"BF16", 16, DType::kBF16},       SafetensorsType{"BOOL", 8, std::nullopt},
    SafetensorsType{"F4", 4, std::nullopt},          SafetensorsType{"F6_E2M3", 6, std::nullopt},
    SafetensorsType{"F6_E3M2", 6, std::nullopt},     SafetensorsType{"U8", 8, std::nullopt},
    SafetensorsType{"I8", 8, std::nullopt},          SafetensorsType{"F8_E5M2", 8, std::nullopt},
    SafetensorsType{"F8_E4M3", 8, std::nullopt},     SafetensorsType{"F8_E8M0", 8, std::nullopt},
    SafetensorsType{"F8_E4M3FNUZ", 8, std::nullopt}, SafetensorsType{"F8_E5M2FNUZ", 8, std::nullopt},
    SafetensorsType{"I16", 16, std::nullopt},        SafetensorsType{"U16", 16, std::nullopt},
    SafetensorsType{"I32", 32, std::nullopt},        SafetensorsType{"U32", 32, std::nullopt},
    SafetensorsType{"C64", 64, std::nullopt},        SafetensorsType{"F64", 64, std::nullopt},
    SafetensorsType{"I64", 64, std::nullopt},        SafetensorsType{"U64", 64, std::nullopt},
};

}  // namespace

const SafetensorsType* find_safetensors_type(std::string_view name) noexcept {
  const auto* const found = std::find_if(kTypes.begin(), kTypes.end(),
                                         [name](const SafetensorsType& type) { return type.name == name; });
  return found == kTypes.end() ? nullptr : found;
}

std::uint64_t safetensors_tensor_bytes(std::string_view file, std::string_view field,
                                       const SafetensorsType& type, std::span<const std::int64_t> shape) {
  const auto elements = element_count(shape);
  const auto bits = elements ? checked_mul(*elements, type.bits) : std::nullopt;
  if (!bits) fail("{}: {}: shape {} is too large", file, field, shape_string(shape));
  if (*bits % 8 != 0) {
    fail("{}: {}: shape {} of {} is not a whole number of bytes", file, field, shape_string(shape),
         type.name);
  }
  return static_cast<std::uint64_t>(*bits / 8);
}

}  // namespace lattice
