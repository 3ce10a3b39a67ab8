#include "gpu/gpu_backend.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "gpu/kernels/kernel_args.h"
#include "gpu/token_stream.h"
#include "support/fail.h"
#include "support/thread_pool.h"

namespace lattice::gpu {
namespace {

std::unique_ptr<GpuWeights> load(Device& device, const Config& config, const Weights& weights,
                                 const GpuOptions& options) {
  ThreadPool pool(usable_processors());
  return std::make_unique<GpuWeights>(MatrixPacker{device, pool, options.exact, weights.mapped}, config,
                                      weights, options.progress);
}

class GpuBackend final : public Backend {
 public:
  GpuBackend(std::unique_ptr<Device> device, const Config& config, const Weights& weights,
             const GpuOptions& options)
      : config_(config),
        device_(std::move(device)),
        weights_(load(*device_, config_, weights, options)),
        work_(*device_, config_, options.kv),
        kv_(options.kv),
        gemm_(options.gemm),
        exact_(options.exact),
        recorder_(*device_, config_, *weights_, work_, options.gemv),
        head_(recorder_.head()) {}

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
    const std::size_t stride = which == Logits::kAll ? static_cast<std::size_t>(config_.vocab_size) : 0;
    const auto most = static_cast<std::int64_t>(most_prefill_rows(*device_));
    while (!tokens.empty()) {
      const auto count = static_cast<std::int64_t>(tokens.size());
      const std::int64_t taken = count < kMinPrefill ? 1 : std::min(count, most);
      const Logits wanted = which == Logits::kLast && taken < count ? Logits::kNone : which;
      const auto piece = tokens.first(static_cast<std::size_t>(taken));
      if (taken == 1) {
        decode(own, piece.front(), wanted, out);
      } else {
        prefill(own, piece, wanted, out);
      }
      own.advance(taken);
      tokens = tokens.subspan(piece.size());
      out = out.subspan(piece.size() * stride);
    }
    device_->wait();
  }

  [[nodiscard]] bool has_streams() const noexcept override { return config_.vocab_size <= kMostDrawableIds; }
  [[nodiscard]] std::unique_ptr<TokenStream> stream(State& state, std::int32_t first,
                                                    const DrawOptions& options) override {
    if (!has_streams()) return nullptr;
    auto& own = dynamic_cast<GpuState&>(state);
    check_forward(*this, own, {&first, 1}, Logits::kNone, {});
    return std::make_unique<GpuTokenStream>(*device_, config_, recorder_, work_, *head_, own, first, options);
  }

  [[nodiscard]] std::int64_t phases() const noexcept override { return device_->submitted().phases; }
  [[nodiscard]] std::int64_t dispatches() const noexcept override { return device_->submitted().dispatches; }
  [[nodiscard]] double device_seconds() override { return device_->busy_seconds(); }
  [[nodiscard]] std::size_t dispatches(std::int64_t position) const {
    const GpuState state(*device_, config_, 1, kv_);
    return recorder_.step(state, work_.attention.sharing.parts(position))->dispatches();
  }

 private:
  void decode(GpuState& state, std::int32_t token, Logits which, std::span<float> out) {
    state.set_step(token, state.position());
    device_->submit(recorder_.step_at(state, state.position(), which != Logits::kNone));
    if (which != Logits::kNone) download_logits(out);
  }

  /// A piece of a prompt: up to most_prefill_rows() tokens.
  void prefill(GpuState& state, std::span<const std::int32_t> tokens, Logits which, std::span<float> out) {
    if (prefill_ == nullptr) prefill_ = std::make_unique<Prefill>(*this);
    const auto count = static_cast<std::uint32_t>(tokens.size());
    const lattice_gpu::PromptSpan span{static_cast<std::int32_t>(state.position()),
                                       static_cast<std::int32_t>(count)};
    prefill_->work.span->upload(std::span(&span, 1));
    prefill_->work.tokens->upload(tokens);
    const std::uint32_t rows = prefill_rows(count);
    std::unique_ptr<Commands>& commands = state.piece(rows);
    if (commands == nullptr) commands = prefill_->recorder.layers(state, rows);
    device_->submit(*commands);
    if (which == Logits::kLast) download_head(out);
    if (which == Logits::kAll) prefill_->download_all(*this, count, out);
  }

  /// The logits behind what stands in Workspace::hidden.
  void download_head(std::span<float> out) {
    device_->submit(*head_);
    download_logits(out);
  }
  void download_logits(std::span<float> out) {
    work_.logits->download(out.first(static_cast<std::size_t>(config_.vocab_size)));
  }

  /// What prompts need beside a decode step's buffers; made for the first of them.
  struct Prefill {
    explicit Prefill(const GpuBackend& backend)
        : work(*backend.device_, backend.config_, *backend.weights_, backend.exact_),
          recorder(*backend.device_, backend.config_, *backend.weights_, backend.work_, work, backend.kv_,
                   backend.gemm_, backend.exact_) {}

    /// The logits of every token of the piece, kLogitRows at a time.
    void download_all(const GpuBackend& backend, std::uint32_t tokens, std::span<float> out) {
      const auto vocab = static_cast<std::size_t>(backend.config_.vocab_size);
      if (logits == nullptr) {
        logits = backend.device_->allocate(kLogitRows * vocab * sizeof(float));
        final_norm = recorder.final_norm();
        for (std::uint32_t first = 0; first < work.rows; first += kLogitRows)
          heads.push_back(recorder.head(first, *logits));
      }
      backend.device_->submit(*final_norm);
      for (std::uint32_t first = 0; first < tokens; first += kLogitRows) {
        backend.device_->submit(*heads[first / kLogitRows]);
        backend.device_->wait();
        const std::size_t count = std::min<std::size_t>(tokens - first, kLogitRows);
        logits->download(out.subspan(first * vocab, count * vocab));
      }
    }

    PrefillWorkspace work;
    PrefillRecorder recorder;
    std::unique_ptr<Buffer> logits;  // [kLogitRows, vocab_size]
    std::unique_ptr<Commands> final_norm;
    std::vector<std::unique_ptr<Commands>> heads;  // by first token / kLogitRows
  };

  const Config config_;
  const std::unique_ptr<Device> device_;
  const std::unique_ptr<GpuWeights> weights_;
  const Workspace work_;
  const KvFormat kv_;
  const GemmShape gemm_;
  const bool exact_;
  const StepRecorder recorder_;
  const std::unique_ptr<Commands> head_;
  std::unique_ptr<Prefill> prefill_;
};

}  // namespace

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

std::unique_ptr<Backend> make_gpu_backend(std::unique_ptr<Device> device, const Config& config,
                                          const Weights& weights, const GpuOptions& options) {
  check_dimensions(config);
  return std::make_unique<GpuBackend>(std::move(device), config, weights, options);
}

std::size_t dispatches_per_token(const Backend& backend, std::int64_t position) {
  return dynamic_cast<const GpuBackend&>(backend).dispatches(position);
}

}  // namespace lattice::gpu
