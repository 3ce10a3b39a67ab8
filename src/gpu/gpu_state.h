#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "gpu/device.h"
#include "model/backend.h"

namespace lattice::gpu {

/// How keys and values are kept.
enum class KvFormat : std::uint8_t { kF32, kF16 };

[[nodiscard]] constexpr std::size_t kv_bytes(KvFormat format) noexcept {
  return format == KvFormat::kF16 ? 2 : 4;
}

/// One sequence in device memory, and what was recorded for its buffers. Must not outlive
/// the backend that made it.
class GpuState final : public State {
 public:
  /// A linear layer's memory, or a full layer's.
  struct LayerMemory {
    std::unique_ptr<Buffer> ring;  // linear: [conv_kernel, C]: the input of position p in row p % conv_kernel
    std::unique_ptr<Buffer> delta;   // linear: [Hv, linear_head_dim (v), linear_head_dim (k)]
    std::unique_ptr<Buffer> keys;    // full: [kv_heads, capacity, head_dim]
    std::unique_ptr<Buffer> values;  // full: the same
  };

  GpuState(Device& device, const Config& config, std::int64_t capacity, KvFormat kv);

  [[nodiscard]] std::int64_t position() const noexcept override { return position_; }
  [[nodiscard]] std::int64_t capacity() const noexcept override { return capacity_; }
  void reset() override;
  [[nodiscard]] std::unique_ptr<State> clone() const override;
  bool make_up(std::int64_t position, std::uint64_t seed) override;

  [[nodiscard]] const LayerMemory& layer(std::size_t index) const noexcept { return layers_[index]; }
  void advance(std::int64_t tokens = 1) noexcept { position_ += tokens; }
  /// The step recorded for so many parts of the keys, with the output head or without; null before it is
  /// recorded.
  [[nodiscard]] std::unique_ptr<Commands>& step(std::uint32_t parts, bool with_head) {
    return steps_[{parts, with_head}];
  }
  /// The same for a prompt's piece, by the rows that it is recorded for.
  [[nodiscard]] std::unique_ptr<Commands>& piece(std::uint32_t rows) { return pieces_[rows]; }

 private:
  Device& device_;
  const Config& config_;
  std::int64_t capacity_;
  KvFormat kv_;
  std::int64_t position_ = 0;
  std::vector<LayerMemory> layers_;
  std::map<std::pair<std::uint32_t, bool>, std::unique_ptr<Commands>> steps_;
  std::map<std::uint32_t, std::unique_ptr<Commands>> pieces_;
};

}  // namespace lattice::gpu
