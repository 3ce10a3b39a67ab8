#pragma once

#include <cstdint>
#include <span>

#include "cpu/cpu_state.h"
#include "cpu/layer_pass.h"

namespace lattice::cpu {

/// The decoder over one batch of at most kBatch tokens behind those that `state` holds.
class ForwardPass {
 public:
  ForwardPass(const ForwardContext& context, const CpuState& state, std::span<const std::int32_t> tokens)
      : context_(context),
        state_(state),
        tokens_(tokens),
        pass_(context, state, state.position(), static_cast<std::int64_t>(tokens.size())) {}

  /// Embeds the tokens and runs every layer; leaves the residual stream in workspace.hidden.
  void layers();
  /// Of the batch's tokens, those that the delta-rule matrices then do not hold yet.
  [[nodiscard]] std::int64_t pending() const noexcept { return pass_.is_steps() ? pass_.count() - 1 : 0; }
  /// Final norm and output head of `count` tokens of the batch from `first` on: out [count, vocab_size].
  void head(std::int64_t first, std::int64_t count, float* out);

 private:
  const ForwardContext& context_;
  const CpuState& state_;
  std::span<const std::int32_t> tokens_;
  LayerPass pass_;
};

}  // namespace lattice::cpu
