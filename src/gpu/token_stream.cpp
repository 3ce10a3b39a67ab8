#include "gpu/token_stream.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gpu/kernels/kernel_args.h"
#include "gpu/sampling_step.h"
#include "model/damaged_logits.h"
#include "support/fail.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::DrawnToken;

void check(const DrawOptions& options, const Config& config) {
  options.sampling.check();
  if (options.n_ids < 1 || options.n_ids > config.vocab_size) {
    fail_usage("tokens are to be drawn from {} ids, and the model has {}", options.n_ids, config.vocab_size);
  }
  if (!options.seen.empty() && std::cmp_not_equal(options.seen.size(), options.n_ids)) {
    fail_usage("the penalties were told of {} ids, not of {}", options.seen.size(), options.n_ids);
  }
}

}  // namespace

GpuTokenStream::GpuTokenStream(Device& device, const Config& config, const StepRecorder& recorder,
                               const Workspace& work, const Commands& head, GpuState& state,
                               std::int32_t first, const DrawOptions& options)
    : device_(device),
      config_(config),
      recorder_(recorder),
      work_(work),
      head_(head),
      state_(state),
      draw_(work.sampling.draw_for(options.sampling)),
      start_(state.position()),
      most_(std::min(options.most, state.capacity() - state.position())),
      fed_{first} {
  check(options, config);
  upload_sampling(state.draw_memory(), options);
  state.set_step(first, start_);
}

void GpuTokenStream::submit_step() {
  if (submitted_ % kInterval == 0) state_.save(copy_of(submitted_));
  device_.submit(recorder_.drawing_step_at(state_, start_ + submitted_, draw_));
  marks_[static_cast<std::size_t>(submitted_) % marks_.size()] = device_.mark();
  ++submitted_;
}

std::int32_t GpuTokenStream::next() {
  const auto read = static_cast<std::int64_t>(fed_.size()) - 1;
  if (read >= most_) fail_usage("more than the {} tokens that a stream was to give were asked for", most_);
  while (submitted_ < std::min(most_, read + 1 + kAhead)) submit_step();

  DrawnToken drawn{};
  const std::size_t slot = static_cast<std::size_t>(start_ + read) % kDrawnTokens;
  device_.download_at(marks_[static_cast<std::size_t>(read) % marks_.size()], *state_.draw_memory().drawn,
                      slot * sizeof drawn, std::as_writable_bytes(std::span(&drawn, 1)));
  if (drawn.token < 0) {
    if (std::isinf(drawn.logit) && drawn.logit < 0) fail_no_token();
    fail_damaged_logit(~drawn.token, drawn.logit);
  }
  fed_.push_back(drawn.token);
  state_.advance();
  return drawn.token;
}

void GpuTokenStream::settle(std::span<float> logits) {
  const auto read = static_cast<std::int64_t>(fed_.size()) - 1;
  const std::int64_t kept = logits.empty() ? read : read - 1;  // steps that need not be repeated
  if (submitted_ == kept || kept < 0) return;
  const std::int64_t from = kept / kInterval * kInterval;
  state_.restore(copy_of(from));
  for (std::int64_t i = from; i < read; ++i) {
    state_.set_step(fed_[static_cast<std::size_t>(i)], start_ + i);
    device_.submit(recorder_.step_at(state_, start_ + i, false));
  }
  if (!logits.empty()) {
    device_.submit(head_);
    work_.logits->download(logits.first(static_cast<std::size_t>(config_.vocab_size)));
  }
  device_.wait();
}

}  // namespace lattice::gpu
