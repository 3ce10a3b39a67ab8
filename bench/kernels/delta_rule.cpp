// A Gated DeltaNet layer between its projections: gdn_step/V_HEADS/TABLE for a decoded token,
// gdn_chunk/V_HEADS/TABLE for a batch of a prompt. Convolution, gates and the gated norm are part of it.

#include <memory>

#include <fmt/format.h>

#include "bench/shapes.h"
#include "cpu/cpu_state.h"
#include "cpu/linear_mixer.h"
#include "measured.h"

namespace lattice::bench {
namespace {

// Sizes with different numbers of V heads: 16, 32, 48.
constexpr std::string_view kSizes[] = {"0.8b", "4b", "27b"};
constexpr std::int64_t kPosition = 128;
constexpr std::uint64_t kSeed = 9;

class Layer {
 public:
  Layer(std::string_view size, std::int64_t tokens, const Table& table)
      : kernels_(*table.kernels),
        config_(one_layer(size)),
        tokens_(tokens),
        workspace_(config_, team().size(), false, kernels_) {
    const auto floats = [](std::int64_t n, float value) {
      return std::vector<float>(static_cast<std::size_t>(n), value);
    };
    weights_.conv_taps = floats(config_.conv_dim() * config_.conv_kernel, 0.25f);
    weights_.decay_rate = floats(config_.linear_v_heads, -0.5f);
    weights_.dt_bias = floats(config_.linear_v_heads, 0.1f);
    weights_.norm = floats(config_.linear_head_dim, 1.0f);
    const std::int64_t states = std::max<std::int64_t>(cold_bytes() / config_.state_bytes(), 2);
    for (std::int64_t i = 0; i < states; ++i) {
      states_.push_back(std::make_unique<cpu::CpuState>(config_, kPosition + tokens, sizeof(float), false));
      states_.back()->make_up(kPosition, kSeed);
    }
    row_ = config_.conv_dim() + config_.linear_v_dim() + 2 * config_.linear_v_heads;
    projected_.resize(static_cast<std::size_t>(row_ * tokens));
    for (std::size_t i = 0; i < projected_.size(); ++i)
      projected_[i] = static_cast<float>(i * 37 % 64) / 32 - 1;
    out_.resize(static_cast<std::size_t>(config_.linear_v_dim() * tokens));
  }

  void run() {
    next_ = (next_ + 1) % states_.size();
    const float* qkv = projected_.data();
    const float* z = qkv + config_.conv_dim();
    const float* b = z + config_.linear_v_dim();
    const cpu::LinearMixerPass pass(config_, kernels_, weights_, *states_[next_], states_[next_]->layer(0),
                                    {qkv, z, b, b + config_.linear_v_heads, row_}, tokens_, out_.data());
    team().run([&](int thread) {
      const Share share = share_of(config_.linear_v_heads, thread, team().size());
      cpu::ThreadScratch& scratch = workspace_.threads[static_cast<std::size_t>(thread)];
      for (std::int64_t head = share.first; head < share.last; ++head) {
        if (tokens_ == 1) {
          pass.steps(head, scratch);
        } else {
          pass.chunks(head, scratch);
        }
      }
    });
  }

  [[nodiscard]] Work work() const {
    const auto matrix = static_cast<double>(config_.linear_v_dim() * config_.linear_head_dim);
    const auto n = static_cast<double>(tokens_);
    if (tokens_ == 1) return {.bytes = 2 * static_cast<double>(config_.state_bytes()), .flop = 7 * matrix};
    // A token of a chunk: products with the state (three of 2·d²) and, within the chunk, of 2·c·d for scores,
    // keys, values and the substitution's two halves, of which causality spares half.
    const auto chunk = static_cast<double>(cpu::kChunk);
    return {.bytes = 2 * static_cast<double>(config_.state_bytes()),
            .flop = n * (6 * matrix + 5 * chunk * static_cast<double>(config_.linear_v_dim()))};
  }

 private:
  static Config one_layer(std::string_view size) {
    Config config = shape_config(size);
    config.layers = {LayerKind::kLinear};
    return config;
  }

  const cpu::Kernels& kernels_;
  Config config_;
  std::int64_t tokens_;
  cpu::Workspace workspace_;
  cpu::CpuLinearMixer weights_;
  std::vector<std::unique_ptr<cpu::CpuState>> states_;
  std::size_t next_ = 0;
  std::int64_t row_ = 0;
  std::vector<float> projected_;
  std::vector<float> out_;
};

void add(const char* kind, std::string_view size, std::int64_t tokens, const Table& table) {
  const std::string name = fmt::format("{}/{}/{}", kind, shape_config(size).linear_v_heads, table.name);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=, &table](benchmark::State& state) {
                                 Layer layer(size, tokens, table);
                                 measure(state, layer.work(), [&] { layer.run(); });
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_delta_rule() {
  for (const Table& table : tables()) {
    for (const std::string_view size : kSizes) {
      add("gdn_step", size, 1, table);
      add("gdn_chunk", size, cpu::kBatch, table);
    }
  }
}

}  // namespace lattice::bench
