#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "model/config.h"

namespace lattice {

/// What one sequence has left behind: the KV cache of the full layers, the delta-rule matrices and
/// convolution tails of the linear ones, and how many tokens made them. Belongs to the backend that made it.
class State {
 public:
  virtual ~State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  /// Tokens fed so far.
  [[nodiscard]] virtual std::int64_t position() const noexcept = 0;
  /// Tokens that fit.
  [[nodiscard]] virtual std::int64_t capacity() const noexcept = 0;
  /// Forgets everything; keeps the memory.
  virtual void reset() = 0;
  /// An independent copy at the same position. The recurrent layers cannot be rolled back, so going back
  /// means keeping a copy.
  [[nodiscard]] virtual std::unique_ptr<State> clone() const = 0;

  /// Puts the sequence at `position`, at most capacity(), with keys, values and recurrent state made up from
  /// `seed`, of the size that real ones have: so that decoding at a long context can be timed without feeding
  /// it. Returns false, and does nothing, where the backend has no such thing.
  virtual bool make_up([[maybe_unused]] std::int64_t position, [[maybe_unused]] std::uint64_t seed) {
    return false;
  }

 protected:
  State() = default;
};

/// A model that is ready to compute: one of the reference, the CPU and the GPU forward passes.
class Backend {
 public:
  /// Which rows of logits `forward` writes.
  enum class Logits : std::uint8_t {
    kNone,  ///< none: the tokens are only taken in
    kLast,  ///< the last token's: out has vocab_size elements
    kAll,   ///< every token's: out has tokens.size() · vocab_size elements, row-major
  };

  virtual ~Backend() = default;

  /// "cpu (AVX2, 2 threads)": for people.
  [[nodiscard]] virtual std::string description() const = 0;
  [[nodiscard]] virtual const Config& config() const noexcept = 0;
  /// Dependent phases run since the backend was made: pieces of work that all of the device does together,
  /// and each of which waits for the one before. 0 where the work is not divided.
  [[nodiscard]] virtual std::int64_t phases() const noexcept { return 0; }

  /// Bytes a second that the memory which it computes in moves, measured now by a copy, read and written
  /// bytes counted; 0 where that is the host's own memory.
  [[nodiscard]] virtual double measure_bandwidth() { return 0; }

  /// A state with room for `capacity` tokens. Throws Error when that is more than the model allows or memory
  /// has.
  [[nodiscard]] virtual std::unique_ptr<State> new_state(std::int64_t capacity) const = 0;

  /// Feeds `tokens` (at least one, every id in [0, vocab_size)) after what `state` holds and writes logits as
  /// asked. Feeding a prompt at once or in any split gives the same result within rounding. Decode is a call
  /// with one token. Throws Error(kUsage) when the tokens do not fit or an id is out of range; the state is
  /// then unchanged.
  virtual void forward(State& state, std::span<const std::int32_t> tokens, Logits which,
                       std::span<float> out) = 0;
};

/// What every backend's forward() demands of its arguments: throws Error(kUsage) as it says there.
void check_forward(const Backend& backend, const State& state, std::span<const std::int32_t> tokens,
                   Backend::Logits which, std::span<const float> out);

}  // namespace lattice
