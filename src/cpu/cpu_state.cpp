#include "cpu/cpu_state.h"

#include <cstring>

namespace lattice::cpu {

CpuState::CpuState(const Config& config, std::int64_t capacity, std::size_t kv_element_bytes)
    : config_(config), capacity_(capacity), kv_element_bytes_(kv_element_bytes) {
  const auto conv_bytes = static_cast<std::size_t>(config.conv_kernel * config.conv_dim()) * sizeof(float);
  const auto delta_bytes =
      static_cast<std::size_t>(config.linear_v_dim() * config.linear_head_dim) * sizeof(float);
  const std::size_t kv_bytes = static_cast<std::size_t>(config.kv_dim() * capacity) * kv_element_bytes;
  for (const LayerKind kind : config.layers) {
    LayerMemory memory;
    if (kind == LayerKind::kLinear) {
      memory.conv = AlignedMemory(conv_bytes);
      memory.delta = AlignedMemory(delta_bytes);
    } else {
      memory.keys = AlignedMemory(kv_bytes);
      memory.values = AlignedMemory(kv_bytes);
    }
    layers_.push_back(std::move(memory));
  }
}

void CpuState::reset() {
  // Rows of the cache and of the ring are written before they are read again; only the delta-rule matrices
  // carry over.
  for (const LayerMemory& memory : layers_) {
    if (memory.delta.size() != 0) std::memset(memory.delta.data(), 0, memory.delta.size());
  }
  position_ = 0;
}

std::unique_ptr<State> CpuState::clone() const {
  auto copy = std::make_unique<CpuState>(config_, capacity_, kv_element_bytes_);
  copy->position_ = position_;
  const auto row_bytes = static_cast<std::size_t>(config_.head_dim) * kv_element_bytes_;
  const std::size_t used = static_cast<std::size_t>(position_) * row_bytes;
  const std::size_t head_bytes = static_cast<std::size_t>(capacity_) * row_bytes;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerMemory& from = layers_[i];
    const LayerMemory& to = copy->layers_[i];
    if (from.delta.size() != 0) {
      std::memcpy(to.conv.data(), from.conv.data(), from.conv.size());
      std::memcpy(to.delta.data(), from.delta.data(), from.delta.size());
      continue;
    }
    for (std::size_t head = 0; head < static_cast<std::size_t>(config_.kv_heads); ++head) {
      std::memcpy(to.keys.data() + head * head_bytes, from.keys.data() + head * head_bytes, used);
      std::memcpy(to.values.data() + head * head_bytes, from.values.data() + head * head_bytes, used);
    }
  }
  return copy;
}

}  // namespace lattice::cpu
