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
                  const CpuState::LayerMemory& memory, const Projections& in, std::int64_t position,
                  std::int64_t tokens, float* out)
      : config_(config),
        kernels_(kernels),
        weights_(weights),
        ring_(memory.conv.as<float>()),
        delta_(memory.delta.as<float>()),
        in_(in),
        position_(position),
        tokens_(tokens),
        out_(out) {}

  /// A decode step's token through V head `head`, the ring's new row for the head's channels included: out
  /// [Vd].
  void step(std::int64_t head, ThreadScratch& scratch) const;
  /// All tokens of a batch through V head `head`, in chunks: out [tokens, Vd]. The ring is only read.
  void chunks(std::int64_t head, ThreadScratch& scratch) const;
  /// Leaves the batch's last inputs in the ring, for the channels [first, last). To be called when all heads
  /// are done.
  void keep_inputs(std::int64_t first, std::int64_t last) const;

 private:
  struct Gates {
    float beta;
    float log_decay;
  };

  [[nodiscard]] const float* input_row(std::int64_t token) const;
  void convolve(std::int64_t channel, std::int64_t token, float* out) const;
  void load_head(std::int64_t head, std::int64_t token, float* q, float* k, float* v) const;
  [[nodiscard]] Gates gates(std::int64_t head, std::int64_t token) const;
  void gated_norm(std::int64_t head, std::int64_t token, float* o) const;
  void chunk(std::int64_t head, std::int64_t first, std::int64_t n, float* state, float* scratch) const;

  const Config& config_;
  const Kernels& kernels_;
  const CpuLinearMixer& weights_;
  float* ring_;
  float* delta_;
  Projections in_;
  std::int64_t position_;
  std::int64_t tokens_;
  float* out_;
};

}  // namespace lattice::cpu
