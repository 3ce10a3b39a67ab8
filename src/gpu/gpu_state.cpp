#include "gpu/gpu_state.h"

#include <algorithm>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"
#include "support/fail.h"
#include "support/float16.h"
#include "support/random.h"

namespace lattice::gpu {
namespace {

constexpr std::size_t kPartAlignment = 256;  // of parts of a buffer: a cache line or two on any device

/// Appends a copy of `bytes`, a multiple of 16 as the offsets are.
void record_copy(Device& device, Commands& commands, const Argument& from, const Argument& to,
                 std::size_t bytes) {
  constexpr std::uint32_t kThreads = 256;
  // More than fill any device: each thread then copies several vectors.
  constexpr std::uint32_t kMostGroups = 1024;
  const lattice_gpu::CopyArgs args{static_cast<std::uint32_t>(bytes / 16)};
  const std::uint32_t groups = std::min(kMostGroups, ceil_div(args.vectors, kThreads));
  commands.dispatch(device.kernel("copy", {}), {from, to, args}, {groups}, kThreads);
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

DrawMemory::DrawMemory(Device& device, const Config& config)
    : sampling(device.allocate(sizeof(lattice_gpu::SamplingArgs))),
      seen(device.allocate(static_cast<std::size_t>(config.vocab_size) * sizeof(std::uint32_t))),
      drawn(device.allocate(kDrawnTokens * sizeof(lattice_gpu::DrawnToken))) {}

GpuState::GpuState(Device& device, const Config& config, std::int64_t capacity, KvFormat kv)
    : device_(device),
      config_(config),
      capacity_(capacity),
      kv_(kv),
      step_state_(device.allocate(sizeof(lattice_gpu::StepState))) {
  std::size_t recurrent = 0;
  const auto part = [&](std::int64_t floats) {
    const std::size_t offset = recurrent;
    const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
    recurrent += (bytes + kPartAlignment - 1) / kPartAlignment * kPartAlignment;
    return BufferPart{nullptr, offset};
  };
  for (const LayerKind kind : config.layers) {
    LayerMemory memory;
    if (kind == LayerKind::kLinear) {
      memory.ring = part(config.conv_kernel * config.conv_dim());
      memory.delta = part(config.linear_v_dim() * config.linear_head_dim);
    } else {
      const std::size_t bytes = static_cast<std::size_t>(config.kv_dim() * capacity) * kv_bytes(kv);
      memory.keys = device.allocate(bytes);
      memory.values = device.allocate(bytes);
    }
    layers_.push_back(std::move(memory));
  }
  if (recurrent == 0) return;
  recurrent_ = device.allocate(recurrent);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (config.layers[i] != LayerKind::kLinear) continue;
    layers_[i].ring.buffer = recurrent_.get();
    layers_[i].delta.buffer = recurrent_.get();
  }
}

void GpuState::reset() {
  // Rows of the cache are written before they are read again; the linear layers' memory carries over.
  if (recurrent_ != nullptr) recurrent_->clear();
  position_ = 0;
}

bool GpuState::make_up(std::int64_t position, std::uint64_t seed) {
  if (position < 0 || position > capacity_) {
    fail_usage("a state of {} tokens cannot be put at position {}", capacity_, position);
  }
  // Inputs of the convolution are made up small, as the matrices are: one buffer holds both.
  if (recurrent_ != nullptr) MadeUpBytes(kMadeUpDelta, KvFormat::kF32, seed).fill(*recurrent_, 0);
  const MadeUpBytes keys(kMadeUpInput, kv_, seed);
  std::uint64_t place = 0;  // every buffer begins at another
  for (const LayerMemory& memory : layers_) {
    if (memory.keys == nullptr) continue;
    keys.fill(*memory.keys, place++);
    keys.fill(*memory.values, place++);
  }
  position_ = position;
  return true;
}

void GpuState::set_step(std::int32_t token, std::int64_t position) {
  const lattice_gpu::StepState step{token, static_cast<std::int32_t>(position)};
  step_state_->upload(std::span(&step, 1));
}

DrawMemory& GpuState::draw_memory() {
  if (draw_memory_ == nullptr) draw_memory_ = std::make_unique<DrawMemory>(device_, config_);
  return *draw_memory_;
}

void GpuState::save(std::size_t place) {
  if (recurrent_ == nullptr) return;
  Copy& copy = copies_[place];
  if (copy.memory == nullptr) {
    copy.memory = device_.allocate(recurrent_->bytes());
    copy.save = device_.new_commands();
    record_copy(device_, *copy.save, *recurrent_, *copy.memory, recurrent_->bytes());
    copy.restore = device_.new_commands();
    record_copy(device_, *copy.restore, *copy.memory, *recurrent_, recurrent_->bytes());
  }
  device_.submit(*copy.save);
}

void GpuState::restore(std::size_t place) {
  if (recurrent_ != nullptr) device_.submit(*copies_[place].restore);
}

std::unique_ptr<State> GpuState::clone() const {
  auto out = std::make_unique<GpuState>(device_, config_, capacity_, kv_);
  out->position_ = position_;
  if (position_ == 0) return out;
  const std::unique_ptr<Commands> commands = device_.new_commands();
  if (recurrent_ != nullptr) {
    record_copy(device_, *commands, *recurrent_, *out->recurrent_, recurrent_->bytes());
  }
  const std::size_t row_bytes = static_cast<std::size_t>(config_.head_dim) * kv_bytes(kv_);
  const std::size_t used = static_cast<std::size_t>(position_) * row_bytes;
  const std::size_t head_bytes = static_cast<std::size_t>(capacity_) * row_bytes;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const LayerMemory& from = layers_[i];
    const LayerMemory& to = out->layers_[i];
    if (from.keys == nullptr) continue;
    for (std::size_t head = 0; head < static_cast<std::size_t>(config_.kv_heads); ++head) {
      const std::size_t at = head * head_bytes;
      record_copy(device_, *commands, {*from.keys, at}, {*to.keys, at}, used);
      record_copy(device_, *commands, {*from.values, at}, {*to.values, at}, used);
    }
  }
  device_.submit(*commands);
  device_.wait();
  return out;
}

}  // namespace lattice::gpu
