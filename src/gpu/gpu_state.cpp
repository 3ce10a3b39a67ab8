#include "gpu/gpu_state.h"

namespace lattice::gpu {
namespace {

/// Copies bytes from one buffer to the same place in another, by way of the host.
void copy(const Buffer& from, Buffer& to, std::size_t offset, std::size_t bytes) {
  std::vector<std::byte> through(bytes);
  from.download(offset, through);
  to.upload(offset, through);
}

}  // namespace

GpuState::GpuState(Device& device, const Config& config, std::int64_t capacity, KvFormat kv)
    : device_(device), config_(config), capacity_(capacity), kv_(kv) {
  const auto floats = [](std::int64_t count) { return static_cast<std::size_t>(count) * sizeof(float); };
  for (const LayerKind kind : config.layers) {
    LayerMemory memory;
    if (kind == LayerKind::kLinear) {
      memory.ring = device.allocate(floats(config.conv_kernel * config.conv_dim()));
      memory.delta = device.allocate(floats(config.linear_v_dim() * config.linear_head_dim));
    } else {
      const std::size_t bytes = static_cast<std::size_t>(config.kv_dim() * capacity) * kv_bytes(kv);
      memory.keys = device.allocate(bytes);
      memory.values = device.allocate(bytes);
    }
    layers_.push_back(std::move(memory));
  }
}

void GpuState::reset() {
  // Rows of the cache and of the ring are written before they are read again; only the delta-rule matrices
  // carry over.
  for (const LayerMemory& memory : layers_) {
    if (memory.delta != nullptr) memory.delta->clear();
  }
  position_ = 0;
}

std::unique_ptr<State> GpuState::clone() const {
  auto out = std::make_unique<GpuState>(device_, config_, capacity_, kv_);
  out->position_ = position_;
  const std::size_t row_bytes = static_cast<std::size_t>(config_.head_dim) * kv_bytes(kv_);
  const std::size_t used = static_cast<std::size_t>(position_) * row_bytes;
  const std::size_t head_bytes = static_cast<std::size_t>(capacity_) * row_bytes;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerMemory& from = layers_[i];
    const LayerMemory& to = out->layers_[i];
    if (from.delta != nullptr) {
      copy(*from.ring, *to.ring, 0, from.ring->bytes());
      copy(*from.delta, *to.delta, 0, from.delta->bytes());
      continue;
    }
    for (std::size_t head = 0; head < static_cast<std::size_t>(config_.kv_heads); ++head) {
      copy(*from.keys, *to.keys, head * head_bytes, used);
      copy(*from.values, *to.values, head * head_bytes, used);
    }
  }
  return out;
}

}  // namespace lattice::gpu
