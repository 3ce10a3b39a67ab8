#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/attention.h"
#include "cpu/cpu_state.h"
#include "cpu/cpu_weights.h"
#include "cpu/linear_mixer.h"
#include "cpu/workspace.h"
#include "support/thread_pool.h"

namespace lattice::cpu {

/// Everything that a forward pass needs and that outlives it.
struct ForwardContext {
  const Config& config;
  const CpuWeights& weights;
  const Kernels& kernels;
  ThreadPool& pool;
  Workspace& workspace;
  bool exact;  ///< activations stay in float for quantised weights
  KvFormat kv;
};

/// Layers over the rows of the residual stream that stand in workspace.hidden: `count` tokens of at most
/// kBatch, the first at `position`. Up to kStepTokens are decode steps, taken together: weights are read once
/// for all of them, the delta rule runs token by token, and attention is split over the keys, so that each
/// gives the bits that it would give alone, and all but the first can be taken back. A single one takes five
/// phases a linear layer and five or six a full one, since every thread prepares a matrix's input for itself
/// rather than wait for the others.
///
/// Results do not depend on the number of threads, bit for bit: threads share out rows, heads and tokens,
/// never a sum.
class LayerPass {
 public:
  struct Input {
    const float* x;  // [tokens, cols]
    std::int64_t cols;
    const std::vector<float>* norm = nullptr;  // RMSNorm with this weight first
  };

  LayerPass(const ForwardContext& context, const CpuState& state, std::int64_t position, std::int64_t count);

  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  [[nodiscard]] bool is_steps() const noexcept { return count_ <= kStepTokens; }

  void run(const CpuLayer& layer, const CpuState::LayerMemory& memory);
  /// Of a layer of full attention no more than its keys and values. workspace.hidden stays what it is.
  void append_keys(const CpuLayer& layer, const CpuState::LayerMemory& memory);
  /// matrix · input of the first `tokens` rows: token t's goes to out[t · stride …].
  void multiply(const PackedMatrix& matrix, const Input& input, std::int64_t tokens, float* out,
                std::int64_t stride);
  /// out = RMSNorm(x) with `weight`, all as long as that.
  void normalise(const float* x, const std::vector<float>& weight, float* out) const;
  /// Workspace::share_out() among the pass's threads.
  template <typename Unit>
  void share_out(std::int64_t units, const Unit& unit) {
    work_.share_out(context_.pool, units, unit);
  }

 private:
  struct Part {
    const PackedMatrix* matrix;
    float* out;  // [tokens, stride]
    std::int64_t stride;
  };
  /// Where a full layer's projections stand in workspace.projected.
  struct FullProjections {
    float* q;
    float* k;
    float* v;
  };

  [[nodiscard]] FullProjections full_projections() const;
  [[nodiscard]] AttentionPass attention(const CpuFullMixer& mixer, const CpuState::LayerMemory& memory) const;
  void append(const AttentionPass& pass);

  void mix(const CpuLayer& layer, const CpuLinearMixer& mixer, const CpuState::LayerMemory& memory);
  void mix(const CpuLayer& layer, const CpuFullMixer& mixer, const CpuState::LayerMemory& memory);
  void attend_steps(const AttentionPass& pass);
  void attend_batch(const AttentionPass& pass);
  void mlp(const CpuLayer& layer);

  /// What is to be made of a product's input.
  struct Forms {
    bool quantised;
    bool widened;
    bool split;
  };
  [[nodiscard]] Forms forms_for(std::span<const Part> parts, std::int64_t tokens) const;
  void prepare(const Input& input, std::int64_t token, PreparedVectors& out, std::int64_t index,
               Forms forms) const;
  [[nodiscard]] Share groups_of(std::span<const Part> parts, int thread) const;
  template <typename Unit>
  static void each_part(std::span<const Part> parts, Share groups, const Unit& unit);
  template <typename After>
  void project(std::span<const Part> parts, const Input& input, std::int64_t tokens, const After& after);
  void add_to_hidden(const PackedMatrix& matrix, const Input& input);

  const ForwardContext& context_;
  const Config& config_;
  Workspace& work_;
  const CpuState& state_;
  std::int64_t position_;
  std::int64_t count_;
};

}  // namespace lattice::cpu
