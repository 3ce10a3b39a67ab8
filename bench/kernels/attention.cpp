// Attention between its projections, at several contexts: sdpa/HEADSxKV_HEADS/KV/CONTEXT/TABLE for a decoded
// token, and sdpa_batch/… for a batch of a prompt. Norms, rotation, the cache's append and the output gate
// are part of it.

#include "cpu/attention.h"

#include <memory>

#include <fmt/format.h>

#include "bench/shapes.h"
#include "cpu/cpu_state.h"
#include "measured.h"

namespace lattice::bench {
namespace {

constexpr std::int64_t kContexts[] = {0, 512, 4096, 16384};
// Sizes with different heads; 2b has those of 0.8b, and 9b those of 4b.
constexpr std::string_view kSizes[] = {"0.8b", "4b", "27b"};
constexpr std::uint64_t kSeed = 9;
constexpr std::int64_t kMostStates = 32;

/// One full layer of a model, and sequences that are taken in turn.
class Layer {
 public:
  Layer(std::string_view size, KvFormat kv, std::int64_t context, std::int64_t tokens, const Table& table)
      : kernels_(*table.kernels),
        config_(one_layer(size)),
        kv_(kv),
        context_(context),
        tokens_(tokens),
        workspace_(config_, team().size(), false, kernels_) {
    weights_.q_norm.assign(static_cast<std::size_t>(config_.head_dim), 1.0f);
    weights_.k_norm = weights_.q_norm;
    const std::int64_t element = kv == KvFormat::kF16 ? 2 : 4;
    const std::int64_t bytes = config_.kv_bytes_per_token(element) * (context + tokens);
    const std::int64_t states = std::clamp<std::int64_t>(cold_bytes() / bytes, 2, kMostStates);
    for (std::int64_t i = 0; i < states; ++i) {
      states_.push_back(std::make_unique<cpu::CpuState>(config_, context + tokens,
                                                        static_cast<std::size_t>(element), false));
      states_.back()->make_up(context, kSeed);
    }
    row_ = 2 * config_.q_dim() + 2 * config_.kv_dim();
    projected_.assign(static_cast<std::size_t>(row_ * tokens), 0.5f);
    out_.resize(static_cast<std::size_t>(config_.q_dim() * tokens));
  }

  void run() {
    next_ = (next_ + 1) % states_.size();
    const float* q = projected_.data();
    const float* k = q + 2 * config_.q_dim();
    const cpu::AttentionPass pass(
        config_, kernels_, weights_, states_[next_]->layer(0), kv_, states_[next_]->capacity(),
        {q, k, k + config_.kv_dim(), row_, workspace_.angles.data()}, context_, tokens_, out_.data());
    if (tokens_ == 1) {
      const std::int64_t parts = pass.parts(0);
      workspace_.share_out(team(), config_.kv_heads * parts,
                           [&](std::int64_t i, cpu::ThreadScratch& scratch) {
                             pass.part(i / parts, 0, i % parts, scratch, workspace_.partial.data());
                           });
      workspace_.share_out(team(), config_.attention_heads,
                           [&](std::int64_t head, cpu::ThreadScratch& scratch) {
                             pass.merge(head, 0, scratch, workspace_.partial.data());
                           });
      return;
    }
    workspace_.share_out(team(), tokens_, [&](std::int64_t token, cpu::ThreadScratch& scratch) {
      pass.append(token, scratch);
    });
    const std::int64_t blocks = cpu::round_up(tokens_, cpu::kQueryBlock) / cpu::kQueryBlock;
    take_in_turn(blocks * config_.kv_heads, [&](std::int64_t i, cpu::ThreadScratch& scratch) {
      pass.block(i % config_.kv_heads, i / config_.kv_heads * cpu::kQueryBlock, scratch);
    });
  }

  [[nodiscard]] Work work() const {
    const auto n = static_cast<double>(tokens_);
    const double keys = static_cast<double>(context_) + (n + 1) / 2;  // that a token sees, on average
    return {.bytes = static_cast<double>(config_.kv_bytes_per_token(kv_ == KvFormat::kF16 ? 2 : 4)) *
                     static_cast<double>(context_ + tokens_),
            .flop = 4 * static_cast<double>(config_.q_dim()) * keys * n};
  }

 private:
  static Config one_layer(std::string_view size) {
    Config config = shape_config(size);
    config.layers = {LayerKind::kFull};
    return config;
  }
  /// As LayerPass::attend_batch() has it.
  template <typename Unit>
  void take_in_turn(std::int64_t units, const Unit& unit) {
    team().run([&](int thread) {
      for (std::int64_t i = thread; i < units; i += team().size()) {
        unit(i, workspace_.threads[static_cast<std::size_t>(thread)]);
      }
    });
  }

  const cpu::Kernels& kernels_;
  Config config_;
  KvFormat kv_;
  std::int64_t context_;
  std::int64_t tokens_;
  cpu::Workspace workspace_;
  cpu::CpuFullMixer weights_;
  std::vector<std::unique_ptr<cpu::CpuState>> states_;
  std::size_t next_ = 0;
  std::int64_t row_ = 0;
  std::vector<float> projected_;
  std::vector<float> out_;
};

void add(const char* kind, std::string_view size, KvFormat kv, std::int64_t context, std::int64_t tokens,
         const Table& table) {
  const Config config = shape_config(size);
  const std::string name = fmt::format("{}/{}x{}/{}/{}/{}", kind, config.attention_heads, config.kv_heads,
                                       kv == KvFormat::kF16 ? "f16" : "f32", context, table.name);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=, &table](benchmark::State& state) {
                                 Layer layer(size, kv, context, tokens, table);
                                 measure(state, layer.work(), [&] { layer.run(); });
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_attention() {
  for (const Table& table : tables()) {
    for (const std::string_view size : kSizes) {
      for (const std::int64_t context : kContexts) {
        for (const KvFormat kv : {KvFormat::kF32, KvFormat::kF16}) add("sdpa", size, kv, context, 1, table);
        // A batch against 16384 keys takes seconds, and says what 4096 say.
        if (context <= 4096) add("sdpa_batch", size, KvFormat::kF32, context, cpu::kBatch, table);
      }
    }
  }
}

}  // namespace lattice::bench
