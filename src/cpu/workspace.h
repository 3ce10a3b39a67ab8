#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/kernels/kernels.h"
#include "cpu/line_vector.h"
#include "model/config.h"
#include "support/shared_work.h"

namespace lattice::cpu {

/// Tokens of a prompt that go through a layer together. Weights are read from memory once for all of them,
/// and the activations of one matrix (tokens · hidden_size bytes and up) still fit a second-level cache.
constexpr std::int64_t kBatch = 128;
constexpr std::int64_t kChunk = 64;       ///< tokens of a chunk of the delta rule
constexpr std::int64_t kKeyBlock = 64;    ///< keys that flash attention takes at a time
constexpr std::int64_t kQueryBlock = 16;  ///< tokens whose queries it takes at a time
/// Groups of rows that a thread takes of a prompt's products at least: several panels' (prompt_products.h).
constexpr std::int64_t kPromptGroups = 16;

[[nodiscard]] constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) noexcept {
  return (n + to - 1) / to * to;
}

/// Vectors made ready for the matrix kernels, with the memory behind them.
class PreparedVectors {
 public:
  /// Room for `count` vectors as the table's products want them.
  PreparedVectors(std::int64_t count, std::int64_t max_cols, const Kernels& kernels);

  /// Where vector `index` of `cols` values is to be written; its padding to whole blocks is zeroed.
  [[nodiscard]] float* values(std::int64_t index, std::int64_t cols);
  /// Quantises vector `index`, which has been written. Needed for quantised weights only.
  void quantise(std::int64_t index, std::int64_t cols);
  /// Makes what the table's products want of vector `index`, which has been quantised, beside that. Needed
  /// for a prompt only.
  void widen(std::int64_t index, std::int64_t cols);
  /// Splits vector `index`, which has been written, if the table's products want it. Needed for BF16 weights
  /// and a prompt only.
  void split(std::int64_t index, std::int64_t cols);
  [[nodiscard]] const Activation& operator[](std::int64_t index) const {
    return views_[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] const Activation* data() const { return views_.data(); }

 private:
  /// What the table wants of vector `index`.
  [[nodiscard]] WidenedVector widened_vector(std::int64_t index) noexcept;
  /// Where vector `index` of turned_ and wide_ begins.
  [[nodiscard]] std::int64_t interleaved(std::int64_t index) const noexcept {
    const std::int64_t within = index % kInterleaved;
    return ((index - within) * blocks_ + within) * kBlock;
  }
  /// Where vector `index` begins of what stands in turn for tiles, with `numbers` of each block together of
  /// `all` that it has.
  [[nodiscard]] std::int64_t in_tiles(std::int64_t index, std::int64_t numbers,
                                      std::int64_t all) const noexcept {
    const std::int64_t within = index % kTileTokens;
    return (index - within) * blocks_ * all + within * numbers;
  }

  const Kernels& kernels_;
  std::int64_t blocks_;  // a vector has room for
  LineVector<float> values_;
  LineVector<std::int8_t> quants_;
  LineVector<float> scales_;
  LineVector<std::int32_t> totals_;
  LineVector<std::int32_t> halves_;
  LineVector<std::uint8_t> turned_;  // and what follows: of a prompt's vectors, where they are wanted
  LineVector<std::int16_t> wide_;
  LineVector<float> inputs_;
  LineVector<std::int8_t> tile_quants_;
  LineVector<float> tile_scales_;
  LineVector<float> tile_inputs_;
  LineVector<std::uint16_t> parts_;
  std::vector<Activation> views_;
};

/// What one thread needs for itself.
struct ThreadScratch {
  ThreadScratch(const Config& config, bool with_mtp, const Kernels& kernels);

  PreparedVectors input;    // a decode step's input, which every thread prepares again rather than wait for
  LineVector<float> head;   // q, k, v and read-out of one linear head
  LineVector<float> chunk;  // the delta rule's matrices, or one [d, d]
  LineVector<float> attention;  // queries, outputs, scores, keys
};

/// Buffers that the threads share. Sized once; the forward pass allocates nothing.
struct Workspace {
  /// `with_mtp`: with room for the head that guesses ahead.
  Workspace(const Config& config, int threads, bool with_mtp, const Kernels& kernels);

  /// Calls unit(i, scratch) for each of `units`, shared out among the pool's threads. No unit throws.
  template <typename Unit>
  void share_out(ThreadPool& pool, std::int64_t units, const Unit& unit) {
    pool.run([&](int thread) {
      shared.deal(thread, share_of(units, thread, pool.size()));
      Share piece;
      while (shared.take(thread, 1, piece)) {
        for (std::int64_t i = piece.first; i < piece.last; ++i)
          unit(i, threads[static_cast<std::size_t>(thread)]);
      }
    });
  }

  LineVector<float> hidden;     // [kBatch, D]: the residual stream
  PreparedVectors prepared;     // [kBatch]
  std::int64_t stride;          // floats from one token's projections to the next
  LineVector<float> projected;  // [kBatch, stride]: the projections of a mixer side by side, or one that is
                                // added to `hidden`
  LineVector<float> angles;     // [kBatch, rotary_dim]: cosines, then sines, of each token's position
  LineVector<float> mixed;      // [kBatch, widest mixer output]
  LineVector<float> gate_up;    // [kBatch, 2 · I]: gate and up in turn
  LineVector<float> activated;  // [kBatch, I]
  LineVector<float> partial;    // [kStepTokens, heads, kMaxKeyParts, head_dim + 2]: attention, in parts
  LineVector<float> outputs;    // [kBatch + 1, D]: final norm's, for the head that guesses ahead
  LineVector<float> pairs;      // [kBatch, 2 · D]: what it makes its rows of
  std::vector<ThreadScratch> threads;
  SharedWork shared;
};

/// Keys are split into at most this many parts in a decode step, at borders that depend on the position
/// alone: so the order of the sums, and with it every bit of the output, is the same for any number of
/// threads.
constexpr std::int64_t kMaxKeyParts = 64;
constexpr std::int64_t kMinKeysPerPart = 128;

}  // namespace lattice::cpu
