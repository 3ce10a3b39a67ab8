#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace lattice {

enum class LayerKind : std::uint8_t {
  kLinear,  ///< Gated DeltaNet
  kFull,    ///< gated full attention
};

/// Which K head feeds V head h, with r = linear_v_heads / linear_k_heads.
enum class VHeadOrder : std::uint8_t {
  kGrouped,  ///< h / r: Hugging Face and MLX
  kTiled,  ///< h % linear_k_heads: GGUF, whose converter reorders the V heads. Carrying the order as a number
           ///< makes undoing the permutation needless: rows, columns, decay and state all stand in the same
           ///< (tiled) order.
};

constexpr std::int64_t kMaxConvKernel = 16;  ///< most taps of the linear layers' convolution

/// A Qwen3.5 text decoder's dimensions. Read from config.json (nested text_config or flat) or GGUF metadata,
/// checked for consistency and for bounds, so that everything downstream may multiply them without a second
/// thought. Names are Hugging Face's, without "num_".
struct Config {
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_position_embeddings = 0;
  std::vector<LayerKind> layers;  ///< one entry a decoder layer

  std::int64_t attention_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t rotary_dim =
      0;  ///< leading dimensions of a head that are rotated; the pair offset is half of it
  double rope_theta = 0;

  std::int64_t linear_k_heads = 0;
  std::int64_t linear_v_heads = 0;
  std::int64_t linear_head_dim = 0;  ///< of K and of V heads (the family has one size for both)
  std::int64_t conv_kernel = 0;
  VHeadOrder v_head_order = VHeadOrder::kGrouped;

  double rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  /// Whether the file speaks of a head of one layer that guesses ahead (multi-token prediction) with the
  /// decoder's own embedding and output matrix. Conversions often leave the tensors out: Weights::mtp tells.
  bool mtp = false;
  std::vector<std::int32_t> eos_token_ids;  ///< of the config and, where there is one, the generation config

  [[nodiscard]] std::int64_t n_layers() const noexcept { return static_cast<std::int64_t>(layers.size()); }
  [[nodiscard]] std::int64_t linear_k_dim() const noexcept { return linear_k_heads * linear_head_dim; }
  [[nodiscard]] std::int64_t linear_v_dim() const noexcept { return linear_v_heads * linear_head_dim; }
  /// Channels of the short convolution: q, k and v side by side.
  [[nodiscard]] std::int64_t conv_dim() const noexcept { return 2 * linear_k_dim() + linear_v_dim(); }
  [[nodiscard]] std::int64_t q_dim() const noexcept { return attention_heads * head_dim; }
  [[nodiscard]] std::int64_t kv_dim() const noexcept { return kv_heads * head_dim; }
  [[nodiscard]] std::int64_t k_head_of(std::int64_t v_head) const noexcept {
    return v_head_order == VHeadOrder::kGrouped ? v_head / (linear_v_heads / linear_k_heads)
                                                : v_head % linear_k_heads;
  }
  [[nodiscard]] std::int64_t count(LayerKind kind) const noexcept;

  /// Bytes of recurrent state (delta-rule matrices and convolution tail, float32) of one sequence.
  [[nodiscard]] std::int64_t state_bytes() const noexcept;
  /// Bytes of KV cache for one token of context, with `element_bytes` a number.
  [[nodiscard]] std::int64_t kv_bytes_per_token(std::int64_t element_bytes) const noexcept;

  /// Reads and checks the configuration. Throws Error naming file and field.
  [[nodiscard]] static Config from(const Checkpoint& checkpoint);
};

}  // namespace lattice
