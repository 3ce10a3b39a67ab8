#pragma once

#include <cstdint>
#include <span>

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

/// The decoder over one batch of at most kBatch tokens. Up to kStepTokens are decode steps, taken together:
/// weights are read once for all of them, the delta rule runs token by token, and attention is split over the
/// keys, so that each gives the bits that it would give alone, and all but the first can be taken back. A
/// single one takes five phases a linear layer and five or six a full one, since every thread prepares a
/// matrix's input for itself rather than wait for the others.
///
/// Results do not depend on the number of threads, bit for bit: threads share out rows, heads and tokens,
/// never a sum.
class ForwardPass {
 public:
  ForwardPass(const ForwardContext& context, const CpuState& state, std::span<const std::int32_t> tokens)
      : context_(context),
        config_(context.config),
        work_(context.workspace),
        state_(state),
        tokens_(tokens) {}

  /// Embeds the tokens and runs every layer; leaves the residual stream in workspace.hidden.
  void layers();
  /// Of the batch's tokens, those that the delta-rule matrices then do not hold yet.
  [[nodiscard]] std::int64_t pending() const noexcept { return is_steps() ? count() - 1 : 0; }
  /// Final norm and output head of `count` tokens of the batch from `first` on: out [count, vocab_size].
  void head(std::int64_t first, std::int64_t count, float* out);

 private:
  struct Part {
    const PackedMatrix* matrix;
    float* out;  // [tokens, stride]
    std::int64_t stride;
  };
  struct Input {
    const float* x;  // [tokens, cols]
    std::int64_t cols;
    const std::vector<float>* norm = nullptr;  // RMSNorm with this weight first
  };

  [[nodiscard]] std::int64_t count() const noexcept { return static_cast<std::int64_t>(tokens_.size()); }
  [[nodiscard]] bool is_steps() const noexcept { return count() <= kStepTokens; }

  void embed();
  void mix(const CpuLayer& layer, const CpuLinearMixer& mixer, const CpuState::LayerMemory& memory);
  void mix(const CpuLayer& layer, const CpuFullMixer& mixer, const CpuState::LayerMemory& memory);
  void attend_steps(const AttentionPass& pass);
  void attend_batch(const AttentionPass& pass);
  /// Calls unit(i, scratch) for each of `units`, shared out evenly.
  template <typename Unit>
  void share_out(std::int64_t units, const Unit& unit);
  void mlp(const CpuLayer& layer);

  void prepare(const Input& input, std::int64_t token, PreparedVectors& out, std::int64_t index,
               bool quantise) const;
  [[nodiscard]] Share groups_of(std::span<const Part> parts, std::size_t index, int thread) const;
  template <typename After>
  void project(std::span<const Part> parts, const Input& input, std::int64_t tokens, const After& after);
  void add_to_hidden(const PackedMatrix& matrix, const Input& input);

  const ForwardContext& context_;
  const Config& config_;
  Workspace& work_;
  const CpuState& state_;
  std::span<const std::int32_t> tokens_;
};

}  // namespace lattice::cpu
