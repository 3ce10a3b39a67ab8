#include "gpu/gpu_state.h"

#include <algorithm>

#include "support/fail.h"
#include "support/float16.h"
#include "support/random.h"

namespace lattice::gpu {
namespace {

/// Copies bytes from one buffer to the same place in another, by way of the host.
void copy(const Buffer& from, Buffer& to, std::size_t offset, std::size_t bytes) {
  std::vector<std::byte> through(bytes);
  from.download(offset, through);
  to.upload(offset, through);
}

// The sizes that activations and the delta rule's matrices have in trained models, about.
constexpr float kMadeUpInput = 1.0f;
constexpr float kMadeUpDelta = 0.05f;

/// Random numbers in [−size, size), as many as one would notice repeating, to fill buffers of any length
/// with.
class MadeUpBytes {
 public:
  MadeUpBytes(float size, KvFormat format, std::uint64_t seed) {
    for (std::size_t i = 0; i < kCount; ++i) {
      const float value = size * (2 * random_unit(seed, i) - 1);
      const std::uint16_t half = f32_to_f16(value);
      const auto* from = format == KvFormat::kF16 ? reinterpret_cast<const std::byte*>(&half)
                                                  : reinterpret_cast<const std::byte*>(&value);
      bytes_.insert(bytes_.end(), from, from + kv_bytes(format));
    }
  }

  /// Fills `buffer`; different `place`s begin at different numbers.
  void fill(Buffer& buffer, std::uint64_t place) const {
    constexpr std::uint64_t kStep = 4096 * sizeof(float);
    std::size_t from = place * kStep % bytes_.size();
    for (std::size_t done = 0; done < buffer.bytes();) {
      const std::size_t count = std::min(bytes_.size() - from, buffer.bytes() - done);
      buffer.upload(done, std::span(bytes_).subspan(from, count));
      done += count;
      from = 0;
    }
  }

 private:
  static constexpr std::size_t kCount = std::size_t{3} << 20;  // no power of two, as rows and heads are
  std::vector<std::byte> bytes_;
};

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

bool GpuState::make_up(std::int64_t position, std::uint64_t seed) {
  if (position < 0 || position > capacity_) {
    fail_usage("a state of {} tokens cannot be put at position {}", capacity_, position);
  }
  const MadeUpBytes inputs(kMadeUpInput, KvFormat::kF32, seed);
  const MadeUpBytes keys(kMadeUpInput, kv_, seed);
  const MadeUpBytes deltas(kMadeUpDelta, KvFormat::kF32, seed);
  std::uint64_t place = 0;  // every buffer begins at another
  for (const LayerMemory& memory : layers_) {
    if (memory.delta != nullptr) {
      inputs.fill(*memory.ring, place++);
      deltas.fill(*memory.delta, place++);
    } else {
      keys.fill(*memory.keys, place++);
      keys.fill(*memory.values, place++);
    }
  }
  position_ = position;
  return true;
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
