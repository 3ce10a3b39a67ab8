#include "quant/dtype.h"

#include <array>

namespace lattice {
namespace {

struct Description {
  std::string_view name;
  std::int64_t elements;  // a block
  std::int64_t bytes;     // a block
};

// In the order of DType. Block sizes: ggml-org/ggml src/ggml-common.h.
constexpr std::array<Description, 14> kDescriptions = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"Q8_0", 32, 34},
    {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},
    {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},
    {"Q2_K", 256, 84},
    {"Q3_K", 256, 110},
    {"Q4_K", 256, 144},
    {"Q5_K", 256, 176},
    {"Q6_K", 256, 210},
    {"affine", 1, 0},
}};
static_assert(kDescriptions.size() == static_cast<std::size_t>(DType::kAffine) + 1);

const Description& describe(DType dtype) noexcept {
  return kDescriptions[static_cast<std::size_t>(dtype)];
}

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

}  // namespace

std::string_view dtype_name(DType dtype) noexcept {
  return describe(dtype).name;
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kDescriptions.size(); ++i) {
    if (same_ignoring_case(kDescriptions[i].name, name)) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::int64_t block_elements(DType dtype) noexcept {
  return describe(dtype).elements;
}

std::int64_t block_bytes(DType dtype) noexcept {
  return describe(dtype).bytes;
}

}  // namespace lattice
