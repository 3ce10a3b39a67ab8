#pragma once

#include <cstdint>

#include "cpu/cpu_state.h"
#include "cpu/cpu_weights.h"
#include "cpu/workspace.h"

namespace lattice::cpu {

/// A Gated DeltaNet layer between its in-projections and its out-projection, one V head at a time:
/// convolution and SiLU, l2 norms, gates, the delta rule, the gated norm. Heads do not depend on each other.
class LinearMixerPass {
 public:
  struct Projections {
    const float* qkv;  // [tokens, C], `stride` floats from one token to the next; the others likewise
    const float* z;
    const float* b;
    const float* a;
    std::int64_t stride;
  };

  LinearMixerPass(const Config& config, const Kernels& kernels, const CpuLinearMixer& weights,
                  const CpuState& state, const CpuState::LayerMemory& memory, const Projections& in,
                  std::int64_t tokens, float* out)
      : config_(config),
        kernels_(kernels),
        weights_(weights),
        conv_ring_(memory.conv.as<float>()),
        gate_ring_(memory.gates.as<float>()),
        ring_rows_(state.ring_rows()),
        delta_(memory.delta.as<float>()),
        in_(in),
        position_(state.position()),
        pending_(state.position() - state.earliest()),
        tokens_(tokens),
        out_(out) {}

  /// At most kStepTokens tokens through V head `head`, one after the other, the rings' new rows for the head
  /// included: out [tokens, Vd]. The head's matrix takes in what was pending and the first token; the others
  /// are pending then, so that they can be taken back.
  void steps(std::int64_t head, ThreadScratch& scratch) const;
  /// All tokens of a batch through V head `head`, in chunks: out [tokens, Vd]. The rings are only read.
  void chunks(std::int64_t head, ThreadScratch& scratch) const;
  /// Leaves the batch's last inputs in the ring, for the channels [first, last). To be called when all heads
  /// are done.
  void keep_inputs(std::int64_t first, std::int64_t last) const;

 private:
  struct Gates {
    float beta;
    float log_decay;
  };
  /// Where a V head's inputs begin.
  struct Channels {
    std::int64_t q;
    std::int64_t k;
    std::int64_t v;
  };

  [[nodiscard]] float* conv_row(std::int64_t token) const {
    return conv_ring_ + (position_ + token) % ring_rows_ * config_.conv_dim();
  }
  [[nodiscard]] float* gate_row(std::int64_t token) const {
    return gate_ring_ + (position_ + token) % ring_rows_ * 2 * config_.linear_v_heads;
  }
  [[nodiscard]] const float* input_row(std::int64_t token) const;
  [[nodiscard]] Channels channels_of(std::int64_t head) const;
  void convolve(std::int64_t channel, std::int64_t token, const float* taps, std::int64_t stride,
                float* out) const;
  void convolve_chunk(std::int64_t channel, std::int64_t first, std::int64_t n, float* room, float* out,
                      std::int64_t out_stride) const;
  void to_unit(float* q, float* k) const;
  void load_head(std::int64_t head, std::int64_t token, float* q, float* k, float* v) const;
  void load_chunk(std::int64_t head, std::int64_t first, std::int64_t n, float* qk, float* v,
                  float* room) const;
  [[nodiscard]] Gates gates(std::int64_t head, std::int64_t token) const;
  float* delta_step(std::int64_t head, std::int64_t token, float* matrix, float* scratch) const;
  void take_in_pending(std::int64_t head, ThreadScratch& scratch) const;
  void keep_step(std::int64_t head, std::int64_t token) const;
  void gated_norm(std::int64_t head, std::int64_t token, float* o) const;
  void decay_row(std::int64_t i, std::int64_t n, const float* c, float beta, float* decays,
                 float* scores) const;
  void chunk(std::int64_t head, std::int64_t first, std::int64_t n, float* state, float* scratch) const;

  const Config& config_;
  const Kernels& kernels_;
  const CpuLinearMixer& weights_;
  float* conv_ring_;
  float* gate_ring_;
  std::int64_t ring_rows_;
  float* delta_;
  Projections in_;
  std::int64_t position_;
  std::int64_t pending_;  // tokens before the position that the delta-rule matrices do not hold
  std::int64_t tokens_;
  float* out_;
};

}  // namespace lattice::cpu
