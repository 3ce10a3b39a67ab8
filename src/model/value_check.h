#pragma once

#include <span>
#include <string>

#include "quant/matrix_view.h"

namespace lattice {

/// A matrix and what its file calls it.
struct NamedMatrix {
  std::string name;
  MatrixView matrix;
};

/// Throws Error naming `file`, the tensor and the row of the first NaN or infinity: of a float matrix any
/// element, of a quantised one the scales and minima, from which alone such a value can come. Every cache
/// line is read once, on all cores, so on a cold file this is the time of reading it, which the first forward
/// pass would take in any case.
void check_finite(const std::string& file, std::span<const NamedMatrix> matrices);

/// Whether row `row` of `matrix` holds no NaN and no infinity: in its scales, or in its elements where they
/// are floats.
[[nodiscard]] bool row_is_finite(const MatrixView& matrix, std::int64_t row);

}  // namespace lattice
