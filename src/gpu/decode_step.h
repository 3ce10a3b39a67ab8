#pragma once

#include <cstdint>
#include <memory>

#include "gpu/device.h"
#include "gpu/gpu_state.h"
#include "gpu/gpu_weights.h"
#include "gpu/sampling_step.h"

namespace lattice::gpu {

/// The function constants of the GEMV: what suits a device is found by measuring. These suit the soft device,
/// where every thread and every simdgroup operation costs the same.
struct GemvShape {
  std::uint32_t rows = 8;        ///< of a simdgroup: 1, 2, 4 or 8; SwiGLU wants an even number
  std::uint32_t split = 1;       ///< simdgroups that share a row's columns
  std::uint32_t simdgroups = 1;  ///< of a threadgroup, a multiple of `split`
  std::uint32_t unroll = 1;      ///< 1, 2 or 4
};

/// y = W x, or what the epilogue makes of it.
struct Gemv {
  const DeviceMatrix& matrix;
  const Buffer& x;
  const Buffer* norm = nullptr;  ///< the weight of an RMSNorm of x that comes first
  const Buffer& y;
  std::size_t y_first = 0;     ///< of y, in floats
  std::uint32_t epilogue = 0;  ///< one of the LATTICE_EPILOGUEs
  float epsilon = 0;           ///< of the norm
};

/// Appends a GEMV's dispatch. `none` is bound where a parameter has no buffer.
void record_gemv(Device& device, Commands& commands, const Gemv& gemv, const GemvShape& shape,
                 const Buffer& none);

/// What a token's pass through the layers leaves from one dispatch to the next. One for all sequences.
struct Workspace {
  Workspace(Device& device, const Config& config);

  std::unique_ptr<Buffer> low_angles;  // see RotaryTables in rotary_tables.h
  std::unique_ptr<Buffer> high_angles;
  std::unique_ptr<Buffer> hidden;       // [hidden_size], the residual stream
  std::unique_ptr<Buffer> projections;  // of a mixer's input
  std::unique_ptr<Buffer> mixed;        // a mixer's output before its out-projection
  std::unique_ptr<Buffer> partial;      // [attention_heads, kMaxParts, head_dim + 2]
  std::unique_ptr<Buffer> activated;    // [intermediate_size]
  std::unique_ptr<Buffer> logits;       // [vocab_size]
  SamplingMemory sampling;
  std::unique_ptr<Buffer> none;  // bound where a kernel asks for a buffer that it will not touch
};

/// Threadgroups that share the keys of a KV head in a step at `position`.
[[nodiscard]] std::uint32_t attention_parts(std::int64_t position) noexcept;

/// Records decode steps.
class StepRecorder {
 public:
  StepRecorder(Device& device, const Config& config, const GpuWeights& weights, const Workspace& work,
               KvFormat kv, const GemvShape& shape)
      : device_(device), config_(config), weights_(weights), work_(work), kv_(kv), shape_(shape) {}

  /// From the token in GpuState::step_state() to the residual stream behind the last layer: embedding, and
  /// for each layer five dispatches, or six where the keys are shared out.
  [[nodiscard]] std::unique_ptr<Commands> layers(const GpuState& state, std::uint32_t parts) const;
  /// The final norm and the output head: the residual stream → Workspace::logits.
  [[nodiscard]] std::unique_ptr<Commands> head() const;
  /// Both, and the draw of the next token, which is left for the next step.
  [[nodiscard]] std::unique_ptr<Commands> drawing_step(GpuState& state, std::uint32_t parts,
                                                       bool is_greedy) const;

  /// layers() for a step at `position`, recorded when it is first asked for and kept with the state.
  [[nodiscard]] const Commands& step_at(GpuState& state, std::int64_t position) const;
  /// The same of drawing_step().
  [[nodiscard]] const Commands& drawing_step_at(GpuState& state, std::int64_t position, bool is_greedy) const;

 private:
  void record_layers(Commands& commands, const GpuState& state, std::uint32_t parts) const;
  void record_head(Commands& commands) const;
  void embed(Commands& commands, const GpuState& state) const;
  void project_in(Commands& commands, const std::vector<DeviceMatrix>& matrices, const Buffer& norm) const;
  void mix(Commands& commands, const GpuLinearMixer& mixer, const GpuState& state,
           const GpuState::LayerMemory& memory) const;
  void mix(Commands& commands, const GpuFullMixer& mixer, const GpuState& state,
           const GpuState::LayerMemory& memory, std::uint32_t parts) const;
  void mlp(Commands& commands, const GpuLayer& layer) const;
  void gemv(Commands& commands, const Gemv& gemv) const {
    record_gemv(device_, commands, gemv, shape_, *work_.none);
  }

  Device& device_;
  const Config& config_;
  const GpuWeights& weights_;
  const Workspace& work_;
  KvFormat kv_;
  GemvShape shape_;
};

}  // namespace lattice::gpu
