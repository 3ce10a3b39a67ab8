#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "quant/dtype.h"

namespace lattice {

// The numbers of the GGUF file format (docs/gguf.md and include/ggml.h in ggml-org/ggml).

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr std::uint32_t kGgufDefaultAlignment = 32;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
inline constexpr std::size_t kGgufMaxDims = 4;

/// The types of metadata values.
enum class GgufType : std::uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

/// The least number of bytes that a value of `type` takes in a file, or nothing where there is no such type.
[[nodiscard]] std::optional<std::uint64_t> gguf_min_bytes(GgufType type) noexcept;

/// A type of tensor elements: `block_elements` of them take `block_bytes` bytes.
struct GgmlType {
  std::uint32_t id;
  std::string_view name;
  std::int64_t block_elements;
  std::int64_t block_bytes;
  std::optional<DType> dtype;  ///< nothing: a type that we do not compute with
};

/// The type with this id or name, or nullptr.
[[nodiscard]] const GgmlType* find_ggml_type(std::uint32_t id) noexcept;
[[nodiscard]] const GgmlType* find_ggml_type(std::string_view name) noexcept;

/// ggml's counterpart of `dtype`, which must not be kAffine.
[[nodiscard]] const GgmlType& ggml_type(DType dtype);

}  // namespace lattice
