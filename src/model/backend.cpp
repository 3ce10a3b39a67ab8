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

void Backend::draft(State& state, std::int32_t token, std::span<std::int32_t> guesses,
                    std::span<float> logits) {
  check_draft(*this, state, token, guesses, logits);
}

void check_draft(const Backend& backend, const State& state, std::int32_t token,
                 std::span<const std::int32_t> guesses, std::span<const float> logits) {
  if (!backend.has_mtp()) fail_usage("there is no head that guesses ahead");
  if (state.position() == 0) fail_usage("nothing can be guessed before the first token is fed");
  const auto count = static_cast<std::int64_t>(guesses.size());
  if (count + 1 > state.capacity() - state.position()) {
    fail_usage("a token and {} guesses do not fit: {} of the context's {} are taken", count, state.position(),
               state.capacity());
  }
  const std::int64_t vocab_size = backend.config().vocab_size;
  if (token < 0 || token >= vocab_size) {
    fail_usage("token id {} is outside the vocabulary of {}", token, vocab_size);
  }
  if (static_cast<std::int64_t>(logits.size()) < count * vocab_size) {
    fail_usage("room for {} logits was given, and {} are needed", logits.size(), count * vocab_size);
  }
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
