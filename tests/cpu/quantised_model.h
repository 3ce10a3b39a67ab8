#pragma once

#include <deque>
#include <variant>

#include "cpu/simple_quantizers.h"
#include "model/golden.h"

namespace lattice::cpu {

/// The shipped model with every matrix quantised, in memory.
class QuantisedModel {
 public:
  explicit QuantisedModel(const FileFormat& format)
      : model_(golden::load_model(golden::shipped_model_path())) {
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
  void quantise(const FileFormat& format, std::initializer_list<MatrixView*> matrices) {
    for (MatrixView* matrix : matrices) *matrix = matrices_.emplace_back(format, *matrix).view();
  }

  golden::LoadedModel model_;
  std::deque<QuantisedMatrix> matrices_;
};

}  // namespace lattice::cpu
