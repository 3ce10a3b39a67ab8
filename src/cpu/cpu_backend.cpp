#include "cpu/cpu_backend.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cpu/forward_pass.h"
#include "cpu/isa.h"
#include "cpu/mtp_pass.h"
#include "support/denormals.h"
#include "support/fail.h"

namespace lattice {
namespace cpu {
namespace {

constexpr int kMaxThreads = 1024;

int thread_count(int wanted) {
  if (wanted == 0) return usable_processors();
  if (wanted < 0 || wanted > kMaxThreads)
    fail_usage("{} threads were asked for; give 1 to {}, or 0 for one a core", wanted, kMaxThreads);
  return wanted;
}

/// What the kernels are written for; every released checkpoint of the family is far inside.
void check_dimensions(const Config& config) {
  const auto require = [](bool holds, std::string_view what) {
    if (!holds) fail_usage("the CPU kernels need {}; use --device reference", what);
  };
  require(config.head_dim % 16 == 0, "a head_dim that is a multiple of 16");
  require(config.linear_head_dim % 16 == 0, "a linear head dimension that is a multiple of 16");
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const Config& config, const Weights& weights, const CpuOptions& options)
      : config_(config),
        isa_(choose_isa(options.isa)),
        pool_(thread_count(options.threads), options.pin_threads),
        weights_(config_, weights, options.exact, pool_, options.progress),
        workspace_(config_, pool_.size(), weights_.mtp.has_value(), kernels_of(isa_)),
        context_{config_, weights_, kernels_of(isa_), pool_, workspace_, options.exact, options.kv} {
    // After the weights are packed, so that they are packed as they are. The caller's own thread is set in
    // forward(), and set back.
    pool_.run([](int thread) {
      if (thread != 0) FlushDenormals::always();
    });
  }

  [[nodiscard]] std::string description() const override {
    return fmt::format("cpu ({}, {} thread{}{})", isa_name(isa_), pool_.size(), pool_.size() == 1 ? "" : "s",
                       context_.exact ? ", exact" : "");
  }
  [[nodiscard]] const Config& config() const noexcept override { return config_; }
  [[nodiscard]] std::int64_t phases() const noexcept override { return pool_.phases(); }
  [[nodiscard]] std::int64_t most_guesses() const noexcept override { return kStepTokens - 1; }

  [[nodiscard]] std::unique_ptr<State> new_state(std::int64_t capacity) const override {
    if (capacity < 1 || capacity > config_.max_position_embeddings) {
      fail_usage("a context of {} tokens was asked for, and the model takes 1 to {}", capacity,
                 config_.max_position_embeddings);
    }
    return std::make_unique<CpuState>(config_, capacity, kv_bytes(context_.kv), has_mtp());
  }

  void forward(State& state, std::span<const std::int32_t> tokens, Logits which,
               std::span<float> out) override {
    auto& own = dynamic_cast<CpuState&>(state);
    check_forward(*this, own, tokens, which, out);
    const FlushDenormals flush;
    for (std::size_t first = 0; first < tokens.size(); first += kBatch) {
      const auto batch = tokens.subspan(first, std::min<std::size_t>(kBatch, tokens.size() - first));
      ForwardPass pass(context_, own, batch);
      pass.layers();
      const auto count = static_cast<std::int64_t>(batch.size());
      if (which == Logits::kAll) {
        pass.head(0, count, out.data() + first * static_cast<std::size_t>(config_.vocab_size));
      } else if (which == Logits::kLast && first + batch.size() == tokens.size()) {
        pass.head(count - 1, 1, out.data());
      }
      if (has_mtp()) MtpPass(context_, own).take_in(batch);
      own.advance(count, pass.pending());
    }
  }

  [[nodiscard]] bool has_mtp() const noexcept override { return weights_.mtp.has_value(); }

  void draft(State& state, std::int32_t token, std::span<std::int32_t> guesses,
             std::span<float> logits) override {
    auto& own = dynamic_cast<CpuState&>(state);
    check_draft(*this, own, token, guesses, logits);
    const FlushDenormals flush;
    MtpPass(context_, own).draft(token, guesses, logits);
  }

 private:
  const Config config_;
  const Isa isa_;
  ThreadPool pool_;
  CpuWeights weights_;
  Workspace workspace_;
  const ForwardContext context_;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(const Config& config, const Weights& weights,
                                          const CpuOptions& options) {
  cpu::check_dimensions(config);
  return std::make_unique<cpu::CpuBackend>(config, weights, options);
}

}  // namespace lattice
