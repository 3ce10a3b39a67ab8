#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/aligned_memory.h"
#include "model/backend.h"

namespace lattice::cpu {

/// One sequence. Memory is given lazily by the kernel, so that a large capacity costs nothing until it is
/// filled.
///
/// Going back a few tokens costs nothing: keys and values past the position are overwritten before they are
/// read, and the delta-rule matrices, which have no inverse, lag behind. They hold the first earliest()
/// tokens; those between it and the position, which kept what the delta rule is fed in the rings, enter them
/// in the next call, when the matrices are read anyway.
class CpuState final : public State {
 public:
  /// A linear layer's memory, or a full layer's.
  struct LayerMemory {
    AlignedMemory conv;    // linear: [ring_rows, C]: the inputs of the token at p in row p % ring_rows
    AlignedMemory gates;   // linear: [ring_rows, 2 · Hv]: its b, then its a
    AlignedMemory delta;   // linear: [Hv, linear_head_dim (v), linear_head_dim (k)]: of earliest() tokens
    AlignedMemory keys;    // full: [kv_heads, capacity, head_dim], binary16 or float
    AlignedMemory values;  // full: the same
  };

  /// `with_mtp`: with memory for the head that guesses ahead.
  CpuState(const Config& config, std::int64_t capacity, std::size_t kv_element_bytes, bool with_mtp);

  [[nodiscard]] std::int64_t position() const noexcept override { return position_; }
  [[nodiscard]] std::int64_t capacity() const noexcept override { return capacity_; }
  void reset() override;
  [[nodiscard]] std::unique_ptr<State> clone() const override;
  bool make_up(std::int64_t position, std::uint64_t seed) override;
  [[nodiscard]] std::int64_t earliest() const noexcept override { return earliest_; }

  [[nodiscard]] const LayerMemory& layer(std::size_t index) const noexcept { return layers_[index]; }
  /// The head's, as of a full layer: of all tokens but the last.
  [[nodiscard]] const LayerMemory& mtp() const noexcept { return layers_.back(); }
  /// [hidden_size]: the decoder's output, after the final norm, at one of the last kStepTokens tokens, which
  /// the head has still to meet with the token behind it.
  [[nodiscard]] float* output(std::int64_t position) const noexcept {
    return outputs_.as<float>() + position % ring_rows_ * config_.hidden_size;
  }
  [[nodiscard]] std::int64_t ring_rows() const noexcept { return ring_rows_; }
  /// Says that `tokens` have been taken in, and how many of them the delta-rule matrices have not.
  void advance(std::int64_t tokens, std::int64_t pending) noexcept {
    position_ += tokens;
    earliest_ = position_ - pending;
  }

 private:
  void take_back_to(std::int64_t position) override { position_ = position; }

  const Config& config_;
  std::int64_t capacity_;
  std::size_t kv_element_bytes_;
  std::int64_t ring_rows_;
  std::int64_t position_ = 0;
  std::int64_t earliest_ = 0;
  std::vector<LayerMemory> layers_;  // of the decoder, then the head's
  AlignedMemory outputs_;            // [ring_rows, hidden_size]; empty without a head
};

}  // namespace lattice::cpu
