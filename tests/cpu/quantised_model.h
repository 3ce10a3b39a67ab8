#pragma once

#include <deque>
#include <variant>
#include <vector>

#include "model/golden.h"
#include "quant/blocks.h"

namespace lattice::cpu {

/// The shipped model with every matrix quantised, in memory.
class QuantisedModel {
 public:
  explicit QuantisedModel(DType format) : model_(golden::load_model(golden::shipped_model_path())) {
    Weights& weights = model_.weights;
    const bool tied = weights.embed.data == weights.head.data;
    quantise(format, {&weights.head});
    if (tied) weights.embed = weights.head;
    if (!tied) quantise(format, {&weights.embed});
    for (Layer& layer : weights.layers) {
      quantise(format, {&layer.gate, &layer.up, &layer.down});
      if (auto* linear = std::get_if<LinearMixer>(&layer.mixer))
        quantise(format, {&linear->qkv, &linear->z, &linear->b, &linear->a, &linear->out});
      if (auto* full = std::get_if<FullMixer>(&layer.mixer))
        quantise(format, {&full->q, &full->k, &full->v, &full->o});
    }
  }

  [[nodiscard]] const Config& config() const { return model_.config; }
  [[nodiscard]] const Weights& weights() const { return model_.weights; }

 private:
  void quantise(DType format, std::initializer_list<MatrixView*> matrices) {
    for (MatrixView* matrix : matrices) {
      MatrixView out{
          .dtype = format, .rows = matrix->rows, .cols = matrix->cols, .data = nullptr, .affine = {}};
      std::vector<std::byte>& bytes =
          bytes_.emplace_back(static_cast<std::size_t>(out.rows * out.row_bytes()));
      std::vector<float> row(static_cast<std::size_t>(matrix->cols));
      for (std::int64_t r = 0; r < matrix->rows; ++r) {
        dequantize_row(*matrix, r, row);
        quantize_blocks(format, row, bytes.data() + r * out.row_bytes());
      }
      out.data = bytes.data();
      *matrix = out;
    }
  }

  golden::LoadedModel model_;
  std::deque<std::vector<std::byte>> bytes_;
};

}  // namespace lattice::cpu
