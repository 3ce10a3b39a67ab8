#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "model/config.h"
#include "model/weights.h"
#include "quant/dtype.h"
#include "quant/matrix_view.h"

namespace lattice {

/// Where the parts of one dimension come from: part i of the output is part `source[i]` of the input, parts
/// being `unit` rows or columns long. An empty `source` leaves the dimension as it is.
struct PartOrder {
  std::int64_t unit = 1;
  std::vector<std::int64_t> source;

  /// The row or column of the input that becomes `index` of the output.
  [[nodiscard]] std::int64_t source_of(std::int64_t index) const noexcept {
    if (source.empty()) return index;
    return source[static_cast<std::size_t>(index / unit)] * unit + index % unit;
  }
};

/// A matrix of the output file, [rows, cols] of `source` with its rows and columns reordered.
struct PlannedMatrix {
  MatrixView source;
  PartOrder rows;
  PartOrder cols;
};

/// One tensor of the output file.
struct PlannedTensor {
  std::string name;                 ///< GGUF's
  std::vector<std::int64_t> shape;  ///< outermost first
  DType type = DType::kF32;
  DType wanted = DType::kF32;  ///< other than `type` where a matrix fell back
  /// Vectors are held ready; they are small, and always F32 in the file.
  std::variant<PlannedMatrix, std::vector<float>> content;
};

/// The types of the matrices.
struct TypeChoice {
  DType matrices = DType::kQ8_0;
  DType head = DType::kQ8_0;  ///< of the output head: of the embedding, where the model uses it as its head
};

/// Every tensor of the GGUF file that stands for `weights`, in the order of the file. As llama.cpp's
/// converter has it (ggml-org/llama.cpp conversion/qwen.py): V heads in tiled order, the head that
/// guesses ahead (MTP) as one more layer, the short convolution
/// and everything of one dimension in F32, and every other matrix in the type chosen. A matrix whose rows are
/// not made of whole blocks of that type falls back to F16, as there.
[[nodiscard]] std::vector<PlannedTensor> plan_tensors(const Config& config, const Weights& weights,
                                                      const TypeChoice& types);

}  // namespace lattice
