#include "model/backend.h"

#include "support/fail.h"

namespace lattice {

void State::rewind(std::int64_t to) {
  if (to < earliest() || to > position()) {
    fail_usage("a sequence of {} tokens cannot go back to {}: {} is the earliest", position(), to,
               earliest());
  }
  take_back_to(to);
}

void check_forward(const Backend& backend, const State& state, std::span<const std::int32_t> tokens,
                   Backend::Logits which, std::span<const float> out) {
  const std::int64_t vocab_size = backend.config().vocab_size;
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (count == 0) fail_usage("no tokens were given");
  if (count > state.capacity() - state.position()) {
    fail_usage("{} more tokens do not fit: {} of the context's {} are taken", count, state.position(),
               state.capacity());
  }
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= vocab_size) {
      fail_usage("token id {} is outside the vocabulary of {}", token, vocab_size);
    }
  }
  const std::int64_t rows = which == Backend::Logits::kNone ? 0 : which == Backend::Logits::kLast ? 1 : count;
  if (static_cast<std::int64_t>(out.size()) < rows * vocab_size) {
    fail_usage("room for {} logits was given, and {} are needed", out.size(), rows * vocab_size);
  }
}

}  // namespace lattice
