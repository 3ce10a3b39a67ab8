#pragma once

#include <cstdint>
#include <span>

#include "cpu/cpu_state.h"
#include "cpu/layer_pass.h"

namespace lattice::cpu {

/// The head that guesses ahead (MtpHead), beside the decoder. Its row t is made of the decoder's output at
/// token t and of token t + 1, so it lags one token behind: the last output waits in the state until its
/// token comes. To be guessed from, the rows before need their keys and values alone. A guess writes keys and
/// values of its own past them, which the decoder's next pass overwrites by what came true.
class MtpPass {
 public:
  MtpPass(const ForwardContext& context, const CpuState& state)
      : context_(context), head_(*context.weights.mtp), work_(context.workspace), state_(state) {}

  /// After ForwardPass::layers(), and before the state advances: lets the head see the batch's tokens. Its
  /// rows take the place of the decoder's in workspace.hidden.
  void take_in(std::span<const std::int32_t> tokens);
  /// Backend::draft().
  void draft(std::int32_t token, std::span<std::int32_t> guesses, std::span<float> logits);

 private:
  void make_pair(const LayerPass& pass, const float* output, std::int32_t next, std::int64_t row);
  void join_pairs(LayerPass& pass);
  [[nodiscard]] std::int32_t likeliest(const float* logits, std::int64_t vocab) const;

  const ForwardContext& context_;
  const CpuMtpHead& head_;
  Workspace& work_;
  const CpuState& state_;
};

}  // namespace lattice::cpu
