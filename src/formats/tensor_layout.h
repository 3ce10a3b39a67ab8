#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"

namespace lattice {

/// The product of `shape` (1 for no dimensions), or nothing where a dimension is negative or the product of
/// those that are not 0 does not fit: so that any of them may be multiplied later on.
[[nodiscard]] std::optional<std::int64_t> element_count(std::span<const std::int64_t> shape) noexcept;

/// "[1024, 512]", for messages.
[[nodiscard]] std::string shape_string(std::span<const std::int64_t> shape);

/// The name of a tensor or a metadata key from `file`, checked: UTF-8, not empty and not absurdly long.
/// `what` says which of the two it is. Throws Error.
void check_name(std::string_view file, std::string_view what, std::string_view name);

/// The tensors of one file, ordered by where their data stands. Throws Error naming two tensors that share
/// bytes.
[[nodiscard]] std::vector<const Tensor*> order_by_position(std::string_view file,
                                                           std::span<const Tensor> tensors);

}  // namespace lattice
