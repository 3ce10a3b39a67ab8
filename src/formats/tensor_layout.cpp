#include "formats/tensor_layout.h"

#include <algorithm>
#include <functional>

#include <fmt/ranges.h>

#include "support/checked.h"
#include "support/fail.h"
#include "support/printable.h"
#include "support/utf8.h"

namespace lattice {

std::optional<std::int64_t> element_count(std::span<const std::int64_t> shape) noexcept {
  std::int64_t count = 1;
  bool is_empty = false;
  for (const std::int64_t dim : shape) {
    const auto product = checked_mul(count, dim == 0 ? 1 : dim);
    if (dim < 0 || !product) return std::nullopt;
    count = *product;
    is_empty = is_empty || dim == 0;
  }
  return is_empty ? 0 : count;
}

std::string shape_string(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void check_name(std::string_view file, std::string_view what, std::string_view name) {
  constexpr std::size_t kMaxBytes = 65535;  // GGUF's limit for keys; safetensors gives none
  if (name.empty()) fail("{}: a {} is empty", file, what);
  if (name.size() > kMaxBytes) {
    fail("{}: {} {} is {} bytes long; at most {} are allowed", file, what, printable(name), name.size(),
         kMaxBytes);
  }
  if (!is_utf8(name)) fail("{}: {} {} is not UTF-8", file, what, printable(name));
}

std::vector<const Tensor*> order_by_position(std::string_view file, std::span<const Tensor> tensors) {
  std::vector<const Tensor*> ordered;
  ordered.reserve(tensors.size());
  for (const Tensor& tensor : tensors) ordered.push_back(&tensor);
  std::stable_sort(ordered.begin(), ordered.end(), [](const Tensor* a, const Tensor* b) {
    // Where two begin together, an empty one stands first and so does not seem to lie inside the other.
    if (a->data.data() == b->data.data()) return a->data.size() < b->data.size();
    return std::less<>()(a->data.data(), b->data.data());
  });
  for (std::size_t i = 1; i < ordered.size(); ++i) {
    const Tensor& before = *ordered[i - 1];
    const Tensor& after = *ordered[i];
    if (before.data.data() + before.data.size() > after.data.data()) {
      fail("{}: the data of tensors {} and {} overlap", file, printable(before.name), printable(after.name));
    }
  }
  return ordered;
}

}  // namespace lattice
