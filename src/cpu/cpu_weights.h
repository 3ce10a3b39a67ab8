#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "cpu/packed_matrix.h"
#include "model/weights.h"
#include "support/progress.h"

namespace lattice::cpu {

struct CpuLinearMixer {
  PackedMatrix qkv;
  PackedMatrix z;
  PackedMatrix b;
  PackedMatrix a;
  PackedMatrix out;
  std::vector<float>
      conv_taps;  // [conv_kernel, C]: a tap's weights side by side, unlike the checkpoint's [C, conv_kernel]
  std::vector<float> decay_rate;  // [Hv]
  std::vector<float> dt_bias;     // [Hv]
  std::vector<float> norm;        // [linear_head_dim]
};

struct CpuFullMixer {
  PackedMatrix q;
  PackedMatrix k;
  PackedMatrix v;
  PackedMatrix out;
  std::vector<float> q_norm;  // [head_dim]
  std::vector<float> k_norm;  // [head_dim]
};

struct CpuLayer {
  std::vector<float> mixer_norm;
  std::variant<CpuLinearMixer, CpuFullMixer> mixer;
  std::vector<float> mlp_norm;
  PackedMatrix gate_up;  // a row of each in turn, so that a thread holds both sides of the SwiGLU
  PackedMatrix down;
};

/// MtpHead.
struct CpuMtpHead {
  PackedMatrix fc;
  std::vector<float> embed_norm;
  std::vector<float> hidden_norm;
  CpuLayer layer;
  std::vector<float> norm;
};

/// The decoder's weights, repacked. Owns everything: the checkpoint may go.
struct CpuWeights {
  CpuWeights(const Config& config, const Weights& weights, bool exact, ThreadPool& pool,
             const Progress& progress);

  [[nodiscard]] const PackedMatrix& embedding() const noexcept { return tied ? head : embed; }

  bool tied = false;
  PackedMatrix embed;  // empty when tied
  std::vector<CpuLayer> layers;
  std::vector<float> final_norm;
  PackedMatrix head;
  std::optional<CpuMtpHead> mtp;
};

}  // namespace lattice::cpu
