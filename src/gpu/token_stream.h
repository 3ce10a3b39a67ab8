#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "gpu/decode_step.h"
#include "gpu/device.h"
#include "gpu/gpu_state.h"
#include "model/backend.h"

namespace lattice::gpu {

/// A stream of tokens on a device. Steps are submitted kAhead before the token that is asked for, so that the
/// device never waits for the host.
///
/// Where a text ends, a few steps have then gone too far, and a linear layer's memory does not tell what it
/// was before. So it is copied every kInterval steps, and settle() goes back to the last good copy and
/// repeats from there, at most kInterval steps, with the same kernels and to the same bits.
/// docs/architecture.md says what else was thought of.
class GpuTokenStream final : public TokenStream {
 public:
  GpuTokenStream(Device& device, const Config& config, const StepRecorder& recorder, const Workspace& work,
                 const Commands& head, GpuState& state, std::int32_t first, const DrawOptions& options);

  [[nodiscard]] std::int32_t next() override;
  void settle(std::span<float> logits) override;

 private:
  static constexpr std::int64_t kAhead = 4;
  static constexpr std::int64_t kInterval = 8;
  // Of two copies, the older is from before any token that has not been read.
  static_assert(GpuState::kCopies == 2 && kInterval > kAhead + 1);

  /// Where the copy that is taken before a step lies.
  static std::size_t copy_of(std::int64_t step) noexcept {
    return static_cast<std::size_t>(step / kInterval) % GpuState::kCopies;
  }
  void submit_step();

  Device& device_;
  const Config& config_;
  const StepRecorder& recorder_;
  const Workspace& work_;
  const Commands& head_;
  GpuState& state_;
  Draw draw_;
  std::int64_t start_;                      // the state's position when the stream began
  std::int64_t most_;                       // steps
  std::int64_t submitted_ = 0;              // steps
  std::vector<std::int32_t> fed_;           // by the steps whose tokens were read, and by the next one
  std::array<Mark, kDrawnTokens> marks_{};  // behind each submitted step
};

}  // namespace lattice::gpu
