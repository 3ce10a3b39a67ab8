#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "quant/dtype.h"

namespace lattice::bench {

/// The sizes that the family was released in: "0.8b", "2b", "4b", "9b", "27b".
[[nodiscard]] const std::vector<std::string_view>& shape_names();

/// The dimensions of the released model of that size. Throws Error(kUsage) for a name that is none.
[[nodiscard]] Config shape_config(std::string_view name);

/// A matrix that a decoded token is multiplied with. Those that are multiplied together stand as one.
struct MatrixShape {
  std::string_view name;  ///< "qkv", "gate_up", "head", …
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t count;  ///< of them in the model
};

/// All matrices of a model, layers first, the head last.
[[nodiscard]] std::vector<MatrixShape> matrix_shapes(const Config& config);

/// The formats that random weights are made in: Q8_0, Q4_0, Q4_K, Q5_K, Q6_K, BF16, F16, F32.
[[nodiscard]] const std::vector<DType>& random_types();

/// The one of random_types() called `name`. Throws Error(kUsage) for a name that is none.
[[nodiscard]] DType random_type(std::string_view name);

}  // namespace lattice::bench
