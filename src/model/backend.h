#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lattice/sampling.hpp"
#include "model/config.h"

namespace lattice {

/// How keys and values are kept. Float is the default since binary16 moves the shipped model's logits by up
/// to 9e-3; it halves what a long context costs.
enum class KvFormat : std::uint8_t { kF32, kF16 };

/// Bytes of one number of them.
[[nodiscard]] constexpr std::size_t kv_bytes(KvFormat format) noexcept {
  return format == KvFormat::kF16 ? 2 : 4;
}

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
  /// An independent copy at the same position. The recurrent layers cannot be rolled back far, so going back
  /// means keeping a copy.
  [[nodiscard]] virtual std::unique_ptr<State> clone() const = 0;

  /// The lowest position that rewind() goes back to; position() where there is no going back.
  [[nodiscard]] virtual std::int64_t earliest() const noexcept { return position(); }
  /// Takes back the tokens from `to` on, which lies between earliest() and position(): the state is then, bit
  /// for bit, as if they had never been fed. Throws Error(kUsage) for any other position.
  void rewind(std::int64_t to);

  /// Puts the sequence at `position`, at most capacity(), with keys, values and recurrent state made up from
  /// `seed`, of the size that real ones have: so that decoding at a long context can be timed without feeding
  /// it. Returns false, and does nothing, where the backend has no such thing.
  virtual bool make_up([[maybe_unused]] std::int64_t position, [[maybe_unused]] std::uint64_t seed) {
    return false;
  }

 protected:
  State() = default;
  /// rewind() to a position that it has checked.
  virtual void take_back_to([[maybe_unused]] std::int64_t position) {}
};

/// How a device draws tokens by itself.
struct DrawOptions {
  /// Of what is known of an id: whether the prompt has it. The other bits count how often it was generated.
  static constexpr std::uint32_t kInPrompt = 0x80000000;

  Sampling sampling;
  std::int64_t n_ids = 0;           ///< of the logits, those that may be drawn, from the first on
  std::vector<std::uint32_t> seen;  ///< [n_ids], for the penalties; empty where none is set
  std::int64_t most = 0;            ///< tokens that will be asked for at most
};

/// Decoding with no host in the loop: the device draws a token and feeds it to the next step itself, a few
/// steps ahead of those who read. The tokens are those that Sampler would draw, up to rounding.
///
/// While a stream lives, nothing else may be done with its state, and settle() ends it. A stream that is
/// given up without it leaves a state that can only be reset.
class TokenStream {
 public:
  virtual ~TokenStream() = default;
  TokenStream(const TokenStream&) = delete;
  TokenStream& operator=(const TokenStream&) = delete;

  /// Feeds the token before, and returns the one that is drawn after it. Throws Error where the logits are
  /// damaged, as Sampler does, and Error(kUsage) for more tokens than the stream was to give.
  [[nodiscard]] virtual std::int32_t next() = 0;
  /// Takes back what was computed ahead: the state is then, bit for bit, as if the first token, and all that
  /// next() returned but the last, had been fed one by one. `logits`, [vocab_size], gets those that the last
  /// token was drawn from, before penalties; empty where they are not wanted.
  virtual void settle(std::span<float> logits) = 0;

 protected:
  TokenStream() = default;
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
  /// Kernels started on the device since the backend was made. 0 where there are none.
  [[nodiscard]] virtual std::int64_t dispatches() const noexcept { return 0; }

  /// Seconds that a device has computed since the backend was made, by its own clock; 0 where there is none
  /// or it does not tell. What is under way does not count yet.
  [[nodiscard]] virtual double device_seconds() { return 0; }

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

  /// How many tokens forward() takes beside another at once and State::rewind() takes back again: a call with
  /// up to one more than this is, bit for bit, that many calls with one token each, and the state can go back
  /// to any of them. 0 where it cannot.
  [[nodiscard]] virtual std::int64_t most_guesses() const noexcept { return 0; }

  /// Whether the model has a head that guesses ahead (MtpHead), so that draft() can be called.
  [[nodiscard]] virtual bool has_mtp() const noexcept { return false; }
  /// Guesses what follows `token`, which comes next after what `state` holds, at least one token, and is not
  /// fed yet: guesses[0] stands behind it, guesses[1] behind that, each the likeliest by the head. `logits`,
  /// [guesses.size(), vocab_size], gets those that they were picked from. `state` stays what it is. Throws
  /// Error(kUsage) where there is no head, the state is empty, the token is out of range or it and the
  /// guesses do not fit.
  virtual void draft(State& state, std::int32_t token, std::span<std::int32_t> guesses,
                     std::span<float> logits);

  /// Whether stream() gives streams.
  [[nodiscard]] virtual bool has_streams() const noexcept { return false; }
  /// Goes on from `state` with `first`, which is in the vocabulary and fits. The state must outlive the
  /// stream.
  [[nodiscard]] virtual std::unique_ptr<TokenStream> stream([[maybe_unused]] State& state,
                                                            [[maybe_unused]] std::int32_t first,
                                                            [[maybe_unused]] const DrawOptions& options) {
    return nullptr;
  }
};

/// What every backend's forward() demands of its arguments: throws Error(kUsage) as it says there.
void check_forward(const Backend& backend, const State& state, std::span<const std::int32_t> tokens,
                   Backend::Logits which, std::span<const float> out);
/// Likewise of its draft().
void check_draft(const Backend& backend, const State& state, std::int32_t token,
                 std::span<const std::int32_t> guesses, std::span<const float> logits);

}  // namespace lattice
