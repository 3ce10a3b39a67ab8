#include "gpu/gpu_backend.h"

#include <utility>

#include "gpu/kernels/kernel_args.h"
#include "support/fail.h"
#include "support/thread_pool.h"

namespace lattice::gpu {
namespace {

/// What the kernels are written for; every released checkpoint of the family is inside.
void check_dimensions(const Config& config) {
  const auto require = [](bool holds, std::string_view what) {
    if (!holds) fail_usage("the GPU kernels need {}; use --device cpu", what);
  };
  require(config.head_dim % 32 == 0 && config.head_dim <= 256,
          "a head_dim that is a multiple of 32, up to 256");
  require(config.attention_heads / config.kv_heads <= 8, "at most 8 query heads for each KV head");
  require(config.linear_head_dim % 4 == 0 && config.linear_head_dim <= 256,
          "a linear head dimension that is a multiple of 4, up to 256");
}

std::unique_ptr<GpuWeights> load(Device& device, const Config& config, const Weights& weights,
                                 const GpuOptions& options) {
  ThreadPool pool(usable_processors());
  return std::make_unique<GpuWeights>(MatrixPacker{device, pool, options.exact}, config, weights,
                                      options.progress);
}

class GpuBackend final : public Backend {
 public:
  GpuBackend(std::unique_ptr<Device> device, const Config& config, const Weights& weights,
             const GpuOptions& options)
      : config_(config),
        device_(std::move(device)),
        weights_(load(*device_, config_, weights, options)),
        work_(*device_, config_),
        kv_(options.kv),
        recorder_(*device_, config_, *weights_, work_, kv_, options.gemv) {}

  [[nodiscard]] std::string description() const override { return device_->description(); }
  [[nodiscard]] const Config& config() const noexcept override { return config_; }
  [[nodiscard]] double measure_bandwidth() override { return device_->measure_copy_bandwidth(); }

  [[nodiscard]] std::unique_ptr<State> new_state(std::int64_t capacity) const override {
    if (capacity < 1 || capacity > config_.max_position_embeddings) {
      fail_usage("a context of {} tokens was asked for, and the model takes 1 to {}", capacity,
                 config_.max_position_embeddings);
    }
    return std::make_unique<GpuState>(*device_, config_, capacity, kv_);
  }

  void forward(State& state, std::span<const std::int32_t> tokens, Logits which,
               std::span<float> out) override {
    auto& own = dynamic_cast<GpuState&>(state);
    check_forward(*this, own, tokens, which, out);
    const auto vocab = static_cast<std::size_t>(config_.vocab_size);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const lattice_gpu::StepState step{tokens[i], static_cast<std::int32_t>(own.position())};
      work_.step->upload(std::span(&step, 1));
      const bool last = i + 1 == tokens.size();
      const bool with_head = which == Logits::kAll || (which == Logits::kLast && last);
      device_->submit(step_of(own, with_head));
      if (with_head) {
        work_.logits->download(out.subspan(which == Logits::kAll ? i * vocab : 0, vocab));
      }
      own.advance();
    }
    device_->wait();
  }

  [[nodiscard]] std::size_t dispatches(std::int64_t position) const {
    const GpuState state(*device_, config_, 1, kv_);
    return recorder_.step(state, work_.sharing.parts(position))->dispatches();
  }

 private:
  const Commands& step_of(GpuState& state, bool with_head) {
    const std::uint32_t parts = work_.sharing.parts(state.position());
    std::unique_ptr<Commands>& step = state.step(parts, with_head);
    if (step == nullptr) step = with_head ? recorder_.step(state, parts) : recorder_.layers(state, parts);
    return *step;
  }

  const Config config_;
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<GpuWeights> weights_;
  const Workspace work_;
  const KvFormat kv_;
  const StepRecorder recorder_;
};

}  // namespace

std::unique_ptr<Backend> make_gpu_backend(std::unique_ptr<Device> device, const Config& config,
                                          const Weights& weights, const GpuOptions& options) {
  check_dimensions(config);
  return std::make_unique<GpuBackend>(std::move(device), config, weights, options);
}

std::size_t dispatches_per_token(const Backend& backend, std::int64_t position) {
  return dynamic_cast<const GpuBackend&>(backend).dispatches(position);
}

}  // namespace lattice::gpu
