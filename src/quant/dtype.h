#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lattice {

/// How the numbers of a tensor are stored. The block formats are ggml's (src/ggml-common.h in ggml-org/ggml).
enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kAffine,  ///< MLX: packed unsigned integers, with a scale and a bias for each group of columns (see
            ///< AffineGroups)
};

/// "F32", "Q8_0", "Q4_K", "affine", …: the names that people know.
[[nodiscard]] std::string_view dtype_name(DType dtype) noexcept;

/// The type called `name`, in either case ("q8_0" and "Q8_0").
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name) noexcept;

/// Elements that are stored together: 1 for floats, 32 or 256 for blocks. kAffine: 1 (its groups are a
/// tensor's own).
[[nodiscard]] std::int64_t block_elements(DType dtype) noexcept;

/// Bytes of one such block. Not meaningful for kAffine.
[[nodiscard]] std::int64_t block_bytes(DType dtype) noexcept;

}  // namespace lattice
