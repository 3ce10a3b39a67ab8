#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/aligned_memory.h"
#include "model/backend.h"

namespace lattice::cpu {

/// One sequence. Memory is given lazily by the kernel, so that a large capacity costs nothing until it is
/// filled.
class CpuState final : public State {
 public:
  /// A linear layer's memory, or a full layer's.
  struct LayerMemory {
    AlignedMemory
        conv;  // linear: [conv_kernel, C], a ring of inputs; row position % conv_kernel is the token's own
    AlignedMemory delta;   // linear: [Hv, linear_head_dim (v), linear_head_dim (k)]
    AlignedMemory keys;    // full: [kv_heads, capacity, head_dim], binary16 or float
    AlignedMemory values;  // full: the same
  };

  CpuState(const Config& config, std::int64_t capacity, std::size_t kv_element_bytes);

  [[nodiscard]] std::int64_t position() const noexcept override { return position_; }
  [[nodiscard]] std::int64_t capacity() const noexcept override { return capacity_; }
  void reset() override;
  [[nodiscard]] std::unique_ptr<State> clone() const override;
  bool make_up(std::int64_t position, std::uint64_t seed) override;

  [[nodiscard]] const LayerMemory& layer(std::size_t index) const noexcept { return layers_[index]; }
  void advance(std::int64_t tokens) noexcept { position_ += tokens; }

 private:
  const Config& config_;
  std::int64_t capacity_;
  std::size_t kv_element_bytes_;
  std::int64_t position_ = 0;
  std::vector<LayerMemory> layers_;
};

}  // namespace lattice::cpu
