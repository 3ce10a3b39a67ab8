#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "gpu/device.h"
#include "model/backend.h"

namespace lattice::gpu {

/// A part of a buffer, which reads as a pointer to one does.
struct BufferPart {
  const Buffer* buffer = nullptr;
  std::size_t offset = 0;  // in bytes

  [[nodiscard]] Argument operator*() const { return {*buffer, offset}; }
};

/// The kernels that draw a token.
enum class Draw : std::uint8_t {
  kLikeliest,
  kTopK,  ///< one of few: SamplingMemory::draw_for() says how few
  kAny,
};

/// What drawing tokens on the device needs of each sequence.
struct DrawMemory {
  DrawMemory(Device& device, const Config& config);

  std::unique_ptr<Buffer> sampling;  // SamplingArgs
  std::unique_ptr<Buffer> seen;      // [vocab_size], words as DrawOptions::seen has them
  std::unique_ptr<Buffer> drawn;     // [kDrawnTokens] DrawnToken: by position % kDrawnTokens
};
/// More than steps are ever ahead of the host.
inline constexpr std::uint32_t kDrawnTokens = 64;

/// One sequence in device memory, and what was recorded for its buffers. Must not outlive
/// the backend that made it.
class GpuState final : public State {
 public:
  /// A linear layer's memory, or a full layer's.
  struct LayerMemory {
    BufferPart ring;               // linear: [conv_kernel, C]: the input of position p in row p % conv_kernel
    BufferPart delta;              // linear: [Hv, linear_head_dim (v), linear_head_dim (k)]
    std::unique_ptr<Buffer> keys;  // full: [kv_heads, capacity, head_dim]
    std::unique_ptr<Buffer> values;  // full: the same
  };

  GpuState(Device& device, const Config& config, std::int64_t capacity, KvFormat kv);

  [[nodiscard]] std::int64_t position() const noexcept override { return position_; }
  [[nodiscard]] std::int64_t capacity() const noexcept override { return capacity_; }
  void reset() override;
  [[nodiscard]] std::unique_ptr<State> clone() const override;
  bool make_up(std::int64_t position, std::uint64_t seed) override;

  [[nodiscard]] const LayerMemory& layer(std::size_t index) const noexcept { return layers_[index]; }
  /// StepState of the sequence's steps.
  [[nodiscard]] Buffer& step_state() const noexcept { return *step_state_; }
  /// Queues what the next step is to feed, and at which position.
  void set_step(std::int32_t token, std::int64_t position);
  /// Made when it is first asked for.
  [[nodiscard]] DrawMemory& draw_memory();
  void advance(std::int64_t tokens = 1) noexcept { position_ += tokens; }

  /// Queues a copy of what cannot be rolled back, the linear layers' memory, to one of kCopies places.
  void save(std::size_t place);
  /// Queues the way back. Rows of keys and values that were added since are overwritten before they are read.
  void restore(std::size_t place);
  static constexpr std::size_t kCopies = 2;

  /// The step recorded for so many parts of the keys, with the output head or without; null before it is
  /// recorded.
  [[nodiscard]] std::unique_ptr<Commands>& step(std::uint32_t parts, bool with_head) {
    return steps_[{parts, with_head}];
  }
  /// The same for a prompt's piece, by the rows that it is recorded for.
  [[nodiscard]] std::unique_ptr<Commands>& piece(std::uint32_t rows) { return pieces_[rows]; }
  /// A step with output head and the draw of the next token.
  [[nodiscard]] std::unique_ptr<Commands>& drawing_step(std::uint32_t parts, Draw draw) {
    return drawing_steps_[{parts, draw}];
  }

 private:
  struct Copy {
    std::unique_ptr<Buffer> memory;
    std::unique_ptr<Commands> save;
    std::unique_ptr<Commands> restore;
  };

  Device& device_;
  const Config& config_;
  std::int64_t capacity_;
  KvFormat kv_;
  std::int64_t position_ = 0;
  std::unique_ptr<Buffer> step_state_;
  std::unique_ptr<Buffer> recurrent_;  // ring and delta of every linear layer; null where there is none
  std::vector<LayerMemory> layers_;
  std::unique_ptr<DrawMemory> draw_memory_;
  std::array<Copy, kCopies> copies_;
  std::map<std::pair<std::uint32_t, bool>, std::unique_ptr<Commands>> steps_;
  std::map<std::pair<std::uint32_t, Draw>, std::unique_ptr<Commands>> drawing_steps_;
  std::map<std::uint32_t, std::unique_ptr<Commands>> pieces_;
};

}  // namespace lattice::gpu
