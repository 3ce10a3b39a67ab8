#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "gpu/device_matrix.h"
#include "gpu/grid.h"
#include "model/weights.h"
#include "support/progress.h"

namespace lattice::gpu {

struct GpuLinearMixer {
  std::vector<DeviceMatrix> in;  // rows [qkv | z | b | a]
  DeviceMatrix out;
  std::unique_ptr<Buffer> taps;        // [conv_kernel, C], unlike the checkpoint's [C, conv_kernel]
  std::unique_ptr<Buffer> decay_rate;  // [Hv]
  std::unique_ptr<Buffer> dt_bias;     // [Hv]
  std::unique_ptr<Buffer> norm;        // [linear_head_dim]
};

struct GpuFullMixer {
  std::vector<DeviceMatrix> in;  // rows [per head q | gate][k][v]
  DeviceMatrix out;
  std::unique_ptr<Buffer> q_norm;  // [head_dim]
  std::unique_ptr<Buffer> k_norm;  // [head_dim]
};

struct GpuLayer {
  [[nodiscard]] std::vector<const DeviceMatrix*> in_matrices() const;
  [[nodiscard]] const DeviceMatrix& out_matrix() const;

  std::unique_ptr<Buffer> mixer_norm;  // [hidden_size], padded as padded_floats() says
  std::variant<GpuLinearMixer, GpuFullMixer> mixer;
  std::unique_ptr<Buffer> mlp_norm;
  DeviceMatrix gate_up;  // rows in turn
  DeviceMatrix down;
  float mixer_norm_bound = 0;  // of what the norms give: √hidden_size times the largest weight
  float mlp_norm_bound = 0;
};

/// The decoder's weights in device memory. The checkpoint may go.
struct GpuWeights {
  GpuWeights(const MatrixPacker& pack, const Config& config, const Weights& weights,
             const Progress& progress);

  [[nodiscard]] const DeviceMatrix& embedding() const noexcept { return tied ? head : embed; }

  bool tied = false;
  DeviceMatrix embed;  // empty when tied
  std::vector<GpuLayer> layers;
  std::unique_ptr<Buffer> final_norm;
  DeviceMatrix head;
};

/// Floats of a vector that meets a matrix, with the zeros that pad it to the matrix's chunks.
[[nodiscard]] constexpr std::size_t padded_floats(std::int64_t count) noexcept {
  constexpr std::int64_t kLongestChunk = 32;
  return static_cast<std::size_t>((count + kLongestChunk - 1) / kLongestChunk * kLongestChunk);
}

/// The same as the floats from one of a prompt's rows to the next.
[[nodiscard]] inline std::uint32_t row_stride(std::int64_t cols) {
  return narrow(static_cast<std::int64_t>(padded_floats(cols)));
}

/// A buffer of floats that holds `values`, and zeros up to padded_floats().
[[nodiscard]] std::unique_ptr<Buffer> upload_vector(Device& device, const std::vector<float>& values);

}  // namespace lattice::gpu
