#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
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

/// The type whose values are the C++ type T.
template <typename T>
struct GgufTypeOf;
// clang-format off
template <> struct GgufTypeOf<std::uint8_t> { static constexpr GgufType value = GgufType::kUint8; };
template <> struct GgufTypeOf<std::int8_t> { static constexpr GgufType value = GgufType::kInt8; };
template <> struct GgufTypeOf<std::uint16_t> { static constexpr GgufType value = GgufType::kUint16; };
template <> struct GgufTypeOf<std::int16_t> { static constexpr GgufType value = GgufType::kInt16; };
template <> struct GgufTypeOf<std::uint32_t> { static constexpr GgufType value = GgufType::kUint32; };
template <> struct GgufTypeOf<std::int32_t> { static constexpr GgufType value = GgufType::kInt32; };
template <> struct GgufTypeOf<std::uint64_t> { static constexpr GgufType value = GgufType::kUint64; };
template <> struct GgufTypeOf<std::int64_t> { static constexpr GgufType value = GgufType::kInt64; };
template <> struct GgufTypeOf<float> { static constexpr GgufType value = GgufType::kFloat32; };
template <> struct GgufTypeOf<double> { static constexpr GgufType value = GgufType::kFloat64; };
template <> struct GgufTypeOf<bool> { static constexpr GgufType value = GgufType::kBool; };
// clang-format on

template <typename T>
concept GgufScalar = requires {
  GgufTypeOf<T>::value;
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

/// The bytes that a tensor of `shape` (outermost first) takes. Throws Error naming `file` and `field` where
/// rows are not made of whole blocks or the size does not fit.
[[nodiscard]] std::uint64_t ggml_tensor_bytes(std::string_view file, std::string_view field,
                                              const GgmlType& type, std::span<const std::int64_t> shape);

/// ggml's counterpart of `dtype`, which must not be kAffine.
[[nodiscard]] const GgmlType& ggml_type(DType dtype);

}  // namespace lattice
