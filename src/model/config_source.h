#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/config.h"

namespace lattice {

/// What a file calls the fields of Config, for messages: "config.json" and "text_config.num_attention_heads",
/// or "model.gguf" and "qwen35.attention.head_count".
struct ConfigNames {
  std::string file;
  std::string prefix;  // before every field
  std::string_view hidden_size, intermediate_size, vocab_size, max_position_embeddings, n_layers;
  std::string_view attention_heads, kv_heads, head_dim, rotary_dim, rope_theta;
  std::string_view linear_k_heads, linear_v_heads, linear_head_dim, conv_kernel, rms_norm_eps;
};

/// Decoder layers that we are willing to allocate for. The largest model of the family has 64.
inline constexpr std::int64_t kMaxLayers = 1024;

/// The names that text checkpoints, vision-language checkpoints and MLX conversions put before a decoder
/// tensor's own.
inline constexpr std::string_view kDecoderPrefixes[] = {"model.language_model.", "model.",
                                                        "language_model.model."};
/// The output matrix, where it is not the embedding.
inline constexpr std::string_view kHeadNames[] = {"lm_head.weight", "language_model.lm_head.weight",
                                                  "model.lm_head.weight"};

/// What stands before the names of the head that guesses ahead (MTP), outside GGUF.
inline constexpr std::string_view kMtpPrefixes[] = {"mtp.", "language_model.mtp.", "model.mtp."};

/// The first of kHeadNames that `checkpoint` has, or nullptr.
[[nodiscard]] const Tensor* find_head(const Checkpoint& checkpoint) noexcept;

[[nodiscard]] Config config_from_json(const Checkpoint& checkpoint);
[[nodiscard]] Config config_from_gguf(const Checkpoint& checkpoint);

/// Throws Error unless every field is within its bounds and the fields agree with each other.
void check_config(const Config& config, const ConfigNames& names);

/// Layer i is full attention exactly when (i + 1) is a multiple of `interval`.
[[nodiscard]] std::vector<LayerKind> periodic_layers(std::int64_t n_layers, std::int64_t interval);

}  // namespace lattice
