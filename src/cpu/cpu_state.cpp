#include "cpu/cpu_state.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "cpu/kernels/kernels.h"
#include "support/fail.h"
#include "support/float16.h"
#include "support/random.h"

namespace lattice::cpu {
namespace {

// What a made-up state is filled with: keys, values and convolution inputs are of about 1, the entries of a
// delta-rule matrix, which hold a sum of products of unit vectors and values, an order below.
constexpr float kMadeUpInput = 1.0f;
constexpr float kMadeUpDelta = 0.1f;

}  // namespace

CpuState::CpuState(const Config& config, std::int64_t capacity, std::size_t kv_element_bytes, bool with_mtp)
    : config_(config),
      capacity_(capacity),
      kv_element_bytes_(kv_element_bytes),
      // What the convolution of the first pending token looks back to, those pending, and a call's own.
      ring_rows_(config.conv_kernel - 1 + (kStepTokens - 1) + kStepTokens) {
  const auto conv_bytes = static_cast<std::size_t>(ring_rows_ * config.conv_dim()) * sizeof(float);
  const auto gates_bytes = static_cast<std::size_t>(ring_rows_ * 2 * config.linear_v_heads) * sizeof(float);
  const auto delta_bytes =
      static_cast<std::size_t>(config.linear_v_dim() * config.linear_head_dim) * sizeof(float);
  const std::size_t kv_bytes = static_cast<std::size_t>(config.kv_dim() * capacity) * kv_element_bytes;
  PageArena arena;
  std::vector<LayerKind> kinds = config.layers;
  if (with_mtp) {
    kinds.push_back(LayerKind::kFull);
    outputs_ = arena.take(static_cast<std::size_t>(ring_rows_ * config.hidden_size) * sizeof(float));
  }
  for (const LayerKind kind : kinds) {
    LayerMemory memory;
    if (kind == LayerKind::kLinear) {
      memory.conv = arena.take(conv_bytes);
      memory.gates = arena.take(gates_bytes);
      memory.delta = arena.take(delta_bytes);
    } else {
      memory.keys = arena.take(kv_bytes);
      memory.values = arena.take(kv_bytes);
    }
    layers_.push_back(std::move(memory));
  }
}

void CpuState::reset() {
  // Rows of the cache and of the rings are written before they are read again; only the delta-rule matrices
  // carry over.
  for (const LayerMemory& memory : layers_) {
    if (memory.delta.size() != 0) std::memset(memory.delta.data(), 0, memory.delta.size());
  }
  position_ = 0;
  earliest_ = 0;
}

std::unique_ptr<State> CpuState::clone() const {
  auto copy = std::make_unique<CpuState>(config_, capacity_, kv_element_bytes_, outputs_.size() != 0);
  copy->position_ = position_;
  copy->earliest_ = earliest_;
  if (outputs_.size() != 0) std::memcpy(copy->outputs_.data(), outputs_.data(), outputs_.size());
  const auto row_bytes = static_cast<std::size_t>(config_.head_dim) * kv_element_bytes_;
  const std::size_t used = static_cast<std::size_t>(position_) * row_bytes;
  const std::size_t head_bytes = static_cast<std::size_t>(capacity_) * row_bytes;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerMemory& from = layers_[i];
    const LayerMemory& to = copy->layers_[i];
    if (from.delta.size() != 0) {
      std::memcpy(to.conv.data(), from.conv.data(), from.conv.size());
      std::memcpy(to.gates.data(), from.gates.data(), from.gates.size());
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

bool CpuState::make_up(std::int64_t position, std::uint64_t seed) {
  if (position < 0 || position > capacity_) {
    fail_usage("a state of {} tokens cannot be put at position {}", capacity_, position);
  }
  std::uint64_t stream = seed;
  for (const LayerMemory& memory : layers_) {
    ++stream;
    if (memory.delta.size() != 0) {
      // The inputs that the next token's convolution meets.
      const auto channels = static_cast<std::size_t>(config_.conv_dim());
      for (std::int64_t p = std::max<std::int64_t>(position - config_.conv_kernel, 0); p < position; ++p) {
        const std::span row(memory.conv.as<float>() + p % ring_rows_ * config_.conv_dim(), channels);
        fill_uniform(row, kMadeUpInput, stream,
                     static_cast<std::uint64_t>(p % config_.conv_kernel) * channels);
      }
      fill_uniform(std::span(memory.delta.as<float>(), memory.delta.size() / sizeof(float)), kMadeUpDelta,
                   stream, static_cast<std::uint64_t>(config_.conv_kernel) * channels * sizeof(float));
      continue;
    }
    std::vector<float> row(static_cast<std::size_t>(config_.head_dim));
    const auto store = [&](const AlignedMemory& memory_of, std::int64_t index) {
      if (kv_element_bytes_ == sizeof(float)) {
        std::ranges::copy(row, memory_of.as<float>() + index * config_.head_dim);
      } else {
        std::ranges::transform(row, memory_of.as<std::uint16_t>() + index * config_.head_dim, f32_to_f16);
      }
    };
    for (std::int64_t head = 0; head < config_.kv_heads; ++head) {
      for (std::int64_t p = 0; p < position; ++p) {
        // Counted without the capacity, so that a larger state holds the same values.
        const auto at = static_cast<std::uint64_t>((p * config_.kv_heads + head) * 2 * config_.head_dim);
        fill_uniform(row, kMadeUpInput, stream, at);
        store(memory.keys, head * capacity_ + p);
        fill_uniform(row, kMadeUpInput, stream, at + row.size());
        store(memory.values, head * capacity_ + p);
      }
    }
  }
  position_ = position;
  earliest_ = position;
  return true;
}

}  // namespace lattice::cpu
