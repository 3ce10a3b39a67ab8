#include "formats/gguf_types.h"

#include <algorithm>
#include <array>

#include "formats/tensor_layout.h"
#include "support/checked.h"
#include "support/fail.h"

namespace lattice {
namespace {

// ids: enum ggml_type in include/ggml.h; block sizes: the structs of src/ggml-common.h (ggml-org/ggml). Ids
// that are missing here were withdrawn (4, 5, 31–33, 36–38) or are not yet known.
constexpr std::array kTypes = {
    GgmlType{0, "F32", 1, 4, DType::kF32},          GgmlType{1, "F16", 1, 2, DType::kF16},
    GgmlType{2, "Q4_0", 32, 18, DType::kQ4_0},      GgmlType{3, "Q4_1", 32, 20, DType::kQ4_1},
    GgmlType{6, "Q5_0", 32, 22, DType::kQ5_0},      GgmlType{7, "Q5_1", 32, 24, DType::kQ5_1},
    GgmlType{8, "Q8_0", 32, 34, DType::kQ8_0},      GgmlType{9, "Q8_1", 32, 36, std::nullopt},
    GgmlType{10, "Q2_K", 256, 84, DType::kQ2_K},    GgmlType{11, "Q3_K", 256, 110, DType::kQ3_K},
    GgmlType{12, "Q4_K", 256, 144, DType::kQ4_K},   GgmlType{13, "Q5_K", 256, 176, DType::kQ5_K},
    GgmlType{14, "Q6_K", 256, 210, DType::kQ6_K},   GgmlType{15, "Q8_K", 256, 292, std::nullopt},
    GgmlType{16, "IQ2_XXS", 256, 66, std::nullopt}, GgmlType{17, "IQ2_XS", 256, 74, std::nullopt},
    GgmlType{18, "IQ3_XXS", 256, 98, std::nullopt}, GgmlType{19, "IQ1_S", 256, 50, std::nullopt},
    GgmlType{20, "IQ4_NL", 32, 18, std::nullopt},   GgmlType{21, "IQ3_S", 256, 110, std::nullopt},
    GgmlType{22, "IQ2_S", 256, 82, std::nullopt},   GgmlType{23, "IQ4_XS", 256, 136, std::nullopt},
    GgmlType{24, "I8", 1, 1, std::nullopt},         GgmlType{25, "I16", 1, 2, std::nullopt},
    GgmlType{26, "I32", 1, 4, std::nullopt},        GgmlType{27, "I64", 1, 8, std::nullopt},
    GgmlType{28, "F64", 1, 8, std::nullopt},        GgmlType{29, "IQ1_M", 256, 56, std::nullopt},
    GgmlType{30, "BF16", 1, 2, DType::kBF16},       GgmlType{34, "TQ1_0", 256, 54, std::nullopt},
    GgmlType{35, "TQ2_0", 256, 66, std::nullopt},   GgmlType{39, "MXFP4", 32, 17, std::nullopt},
    GgmlType{40, "NVFP4", 64, 36, std::nullopt},    GgmlType{41, "Q1_0", 128, 18, std::nullopt},
};

template <typename Predicate>
const GgmlType* find_type(Predicate predicate) noexcept {
  const auto* const found = std::find_if(kTypes.begin(), kTypes.end(), predicate);
  return found == kTypes.end() ? nullptr : found;
}

}  // namespace

std::optional<std::uint64_t> gguf_min_bytes(GgufType type) noexcept {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
    case GgufType::kString:  // its length
      return 8;
    case GgufType::kArray:  // its element type and count
      return 12;
  }
  return std::nullopt;
}

const GgmlType* find_ggml_type(std::uint32_t id) noexcept {
  return find_type([id](const GgmlType& type) { return type.id == id; });
}

const GgmlType* find_ggml_type(std::string_view name) noexcept {
  return find_type([name](const GgmlType& type) { return type.name == name; });
}

std::uint64_t ggml_tensor_bytes(std::string_view file, std::string_view field, const GgmlType& type,
                                std::span<const std::int64_t> shape) {
  const std::int64_t row = shape.empty() ? 1 : shape.back();
  if (row % type.block_elements != 0) {
    fail("{}: {}: rows of {} elements are not made of {}'s blocks of {}", file, field, row, type.name,
         type.block_elements);
  }
  const auto elements = element_count(shape);
  const auto bytes = elements ? checked_mul(*elements / type.block_elements, type.block_bytes) : std::nullopt;
  if (!bytes) fail("{}: {}: shape {} is too large", file, field, shape_string(shape));
  return static_cast<std::uint64_t>(*bytes);
}

const GgmlType& ggml_type(DType dtype) {
  const GgmlType* type = find_type([dtype](const GgmlType& t) { return t.dtype == dtype; });
  if (type == nullptr) fail_usage("GGUF has no type for {} tensors", dtype_name(dtype));
  return *type;
}

}  // namespace lattice
