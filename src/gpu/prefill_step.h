#pragma once

#include <cstdint>
#include <memory>

#include "gpu/decode_step.h"
#include "gpu/device.h"
#include "gpu/gpu_state.h"
#include "gpu/gpu_weights.h"
#include "gpu/packed_products.h"

namespace lattice::gpu {

// A prompt goes through the layers in pieces of up to most_prefill_rows() tokens: matrices times many
// vectors, flash attention over the cache, the delta rule in chunks. Where the device has a library of matrix
// products, that makes them (packed_products.h); elsewhere, and for F32 weights, the GEMM kernel does.
//
// What is recorded. Where a piece begins and how many tokens it has stands in device memory (PromptSpan),
// where the kernels read it: attention walks as many keys as there are, the delta rule as many chunks. Only
// grids are fixed when Commands are recorded, for a number of rows that prefill_rows() rounds up to a power
// of two; the threadgroups past the last token end at once, which costs less than a launch. So a sequence has
// few recordings, made when first wanted, and every full piece of a long prompt replays the same one: a CUDA
// graph is never rebuilt, whatever the lengths of prompts.

/// Tokens of a piece: a power of two, a multiple of a delta-rule chunk. A library of products wants many
/// vectors at a time, and unpacks quantised weights for every piece.
[[nodiscard]] std::uint32_t most_prefill_rows(const Device& device) noexcept;
/// Fewer tokens than this go through the decode step one by one: a piece works on whole tiles.
inline constexpr std::int64_t kMinPrefill = 8;
/// Tokens whose logits are made and brought to the host together, where all are wanted.
inline constexpr std::int64_t kLogitRows = 64;

/// Rows that a piece of so many tokens, at least 1, is recorded for: 64, 128, 256, ….
[[nodiscard]] std::uint32_t prefill_rows(std::int64_t tokens) noexcept;

/// The function constants of the GEMM (kernels/kernel_args.h).
struct GemmShape {
  std::uint32_t tile_tokens = 64;
  std::uint32_t tile_rows = 64;
  std::uint32_t simd_tokens = 2;
  std::uint32_t simd_rows = 2;
};

/// Y = X Wᵀ for the tokens of a piece, or what the epilogue makes of it.
struct Gemm {
  const DeviceMatrix& matrix;
  const Buffer& x;  ///< [tokens, x_stride]
  std::uint32_t x_stride;
  const Buffer& y;  ///< [tokens − first, y_stride]
  std::uint32_t y_stride;
  std::size_t y_first = 0;     ///< of y, in floats
  std::uint32_t epilogue = 0;  ///< one of the LATTICE_EPILOGUEs
  std::uint32_t first = 0;     ///< the token that y begins with
};

/// Appends a GEMM's dispatch for up to `rows` tokens from gemm.first on. `span` is the piece's PromptSpan;
/// `none` is bound where a parameter has no buffer.
void record_gemm(Device& device, Commands& commands, const Gemm& gemm, const GemmShape& shape,
                 std::uint32_t rows, const Buffer& span, const Buffer& none);

/// What a piece's pass through the layers leaves from one dispatch to the next. One for all sequences.
struct PrefillWorkspace {
  PrefillWorkspace(Device& device, const Config& config, const GpuWeights& weights, bool exact);

  std::uint32_t rows;  ///< most_prefill_rows()
  /// Floats from one token's row to the next. What a row has behind its values meets weights that are zero.
  std::uint32_t hidden_stride;
  std::uint32_t projections_stride;
  std::uint32_t mixed_stride;
  std::uint32_t activated_stride;
  std::uint32_t padded_dim;  ///< of a linear head, a multiple of 8

  std::unique_ptr<Buffer> span;         // PromptSpan
  std::unique_ptr<Buffer> tokens;       // [rows]
  std::unique_ptr<Buffer> hidden;       // [rows, hidden_stride], the residual stream
  std::unique_ptr<Buffer> normed;       // the same, under a norm
  std::unique_ptr<Buffer> projections;  // of a mixer's input
  std::unique_ptr<Buffer> mixed;        // a mixer's output before its out-projection
  std::unique_ptr<Buffer> activated;    // the MLP's inner values; null where all are packed
  std::unique_ptr<Buffer> convolved;    // these five: see kernels/gdn_prefill.metal and gdn_chunks.metal
  std::unique_ptr<Buffer> gates;
  std::unique_ptr<Buffer> scaled;
  std::unique_ptr<Buffer> scores;
  std::unique_ptr<Buffer> decays;
  std::unique_ptr<PackedWorkspace> packed;  // null where the device has no products
};

/// Records a prompt's pieces.
class PrefillRecorder {
 public:
  /// `exact`: see library_takes().
  PrefillRecorder(Device& device, const Config& config, const GpuWeights& weights, const Workspace& decode,
                  const PrefillWorkspace& work, KvFormat kv, const GemmShape& shape, bool exact)
      : device_(device),
        config_(config),
        weights_(weights),
        decode_(decode),
        work_(work),
        kv_(kv),
        shape_(shape),
        exact_(exact) {}

  /// From PrefillWorkspace::tokens to the residual stream behind the last layer, for pieces of up to `rows`
  /// tokens. Leaves the last token's row in Workspace::hidden, where the decode step's output head finds it.
  [[nodiscard]] std::unique_ptr<Commands> layers(const GpuState& state, std::uint32_t rows) const;
  /// The final norm of every row: PrefillWorkspace::hidden → normed.
  [[nodiscard]] std::unique_ptr<Commands> final_norm() const;
  /// Logits of up to kLogitRows tokens from `first` on: PrefillWorkspace::normed → logits [kLogitRows,
  /// vocab_size].
  [[nodiscard]] std::unique_ptr<Commands> head(std::uint32_t first, const Buffer& logits) const;

 private:
  /// What a piece's dispatches are appended to, and for how many tokens.
  struct Piece {
    Commands& commands;
    std::uint32_t rows;
    bool owes = false;  ///< whether PackedWorkspace::sums are still to be added to the residual stream
  };
  /// Matrices that meet the same input. Those that do not suit the packing go to the GEMM kernel.
  struct Group {
    std::vector<const DeviceMatrix*> matrices;
    std::optional<Packing> packing;
    float factor = 1;  ///< that a norm's output is packed with
    [[nodiscard]] bool is_packed(const DeviceMatrix& matrix) const {
      return packing && packing->suits(matrix);
    }
    [[nodiscard]] bool wants_floats() const;
  };

  [[nodiscard]] Group group(std::vector<const DeviceMatrix*> matrices, float bound = 0) const;
  void embed(const Piece& piece) const;
  [[nodiscard]] Group mlp_group(const GpuLayer& layer, const DeviceMatrix& matrix, float bound = 0) const;
  void norm(Piece& piece, const Buffer& weight, const Group& group) const;
  void norm_floats(const Piece& piece, const Buffer& weight) const;
  void unpack(const Piece& piece, const Group& group, Unpacked place) const;
  void unpack_ahead(const Piece& piece, const GpuLayer& layer) const;
  void multiply_packed(const Piece& piece, const Group& group, const PackedRows& x, Unpacked place,
                       const Buffer& y, std::uint32_t y_stride) const;
  void pack(const Piece& piece, const char* kernel, const Group& group, const Buffer& x,
            std::uint32_t x_stride, std::int64_t cols, const PackedRows& to) const;
  void add_sums(Piece& piece) const;
  void project_in(const Piece& piece, const Group& group) const;
  void mix(Piece& piece, const GpuLayer& layer, const GpuLinearMixer& mixer,
           const GpuState::LayerMemory& memory) const;
  void mix(Piece& piece, const GpuLayer& layer, const GpuFullMixer& mixer,
           const GpuState::LayerMemory& memory, std::int64_t capacity) const;
  void project_out(Piece& piece, const DeviceMatrix& matrix, std::int64_t cols) const;
  void mlp(Piece& piece, const GpuLayer& layer) const;
  void packed_mlp(Piece& piece, const GpuLayer& layer, const Group& gate_up) const;
  void gemm(const Piece& piece, const Gemm& gemm) const {
    record_gemm(device_, piece.commands, gemm, shape_, piece.rows, *work_.span, *decode_.none);
  }

  Device& device_;
  const Config& config_;
  const GpuWeights& weights_;
  const Workspace& decode_;
  const PrefillWorkspace& work_;
  KvFormat kv_;
  GemmShape shape_;
  bool exact_;
};

}  // namespace lattice::gpu
