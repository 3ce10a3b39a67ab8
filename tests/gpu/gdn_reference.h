#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "gpu/kernel_run.h"

namespace lattice::gpu {

/// Dimensions of a Gated DeltaNet mixer, and of the threadgroups that it is given to.
struct GdnShape {
  std::uint32_t k_heads;
  std::uint32_t v_heads;
  std::uint32_t head_dim;
  std::uint32_t taps;
  bool tiled;
  std::uint32_t simdgroups;
};

/// The mixer's heads in double precision, token by token, as its authors write it.
class GdnReference {
 public:
  GdnReference(const GdnShape& shape, std::vector<float> taps, std::vector<float> decay_rate,
               std::vector<float> dt_bias, std::vector<float> norm, float epsilon)
      : shape_(shape),
        taps_(std::move(taps)),
        decay_rate_(std::move(decay_rate)),
        dt_bias_(std::move(dt_bias)),
        norm_(std::move(norm)),
        epsilon_(epsilon),
        state_(std::size_t{shape.v_heads} * shape.head_dim * shape.head_dim) {}

  std::vector<double> step(const std::vector<float>& projections) {
    inputs_.push_back(projections);
    const std::size_t dim = shape_.head_dim;
    std::vector<double> out;
    for (std::size_t h = 0; h < shape_.v_heads; ++h) {
      const std::size_t k_head = shape_.tiled ? h % shape_.k_heads : h / (shape_.v_heads / shape_.k_heads);
      const std::vector<double> q = unit(convolved(k_head * dim), 1 / std::sqrt(static_cast<double>(dim)));
      const std::vector<double> k = unit(convolved((shape_.k_heads + k_head) * dim), 1);
      const std::vector<double> v = convolved((2 * shape_.k_heads + h) * dim);
      const std::size_t z = channels();
      const std::size_t b = z + shape_.v_heads * dim;
      const double beta = sigmoid(projections[b + h]);
      const double a = double{projections[b + shape_.v_heads + h]} + dt_bias_[h];
      const double decay = std::exp(decay_rate_[h] * std::log1p(std::exp(a)));
      std::vector<double> o(dim);
      double squares = 0;
      for (std::size_t i = 0; i < dim; ++i) {
        double* row = &state_[(h * dim + i) * dim];
        double predicted = 0;
        for (std::size_t j = 0; j < dim; ++j) predicted += (row[j] *= decay) * k[j];
        for (std::size_t j = 0; j < dim; ++j) {
          row[j] += beta * (v[i] - predicted) * k[j];
          o[i] += row[j] * q[j];
        }
        squares += o[i] * o[i];
      }
      for (std::size_t i = 0; i < dim; ++i) {
        out.push_back(o[i] / std::sqrt(squares / static_cast<double>(dim) + epsilon_) * norm_[i] *
                      silu(projections[z + h * dim + i]));
      }
    }
    return out;
  }

  [[nodiscard]] const std::vector<double>& state() const { return state_; }
  [[nodiscard]] std::size_t channels() const {
    return std::size_t{2 * shape_.k_heads + shape_.v_heads} * shape_.head_dim;
  }

 private:
  /// Channels first … first + head_dim of the newest token.
  [[nodiscard]] std::vector<double> convolved(std::size_t first) const {
    std::vector<double> out;
    for (std::size_t c = first; c < first + shape_.head_dim; ++c) {
      double sum = 0;
      for (std::size_t j = 0; j < shape_.taps && j < inputs_.size(); ++j) {
        sum += double{taps_[(shape_.taps - 1 - j) * channels() + c]} * inputs_[inputs_.size() - 1 - j][c];
      }
      out.push_back(silu(sum));
    }
    return out;
  }
  static std::vector<double> unit(std::vector<double> values, double scale) {
    double squares = 1e-6;
    for (const double x : values) squares += x * x;
    for (double& x : values) x *= scale / std::sqrt(squares);
    return values;
  }

  GdnShape shape_;
  std::vector<float> taps_, decay_rate_, dt_bias_, norm_;
  double epsilon_;
  std::vector<double> state_;
  std::vector<std::vector<float>> inputs_;
};

}  // namespace lattice::gpu
