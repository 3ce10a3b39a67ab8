#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace lattice {

/// What Hugging Face (and MLX) and what GGUF call a tensor, without the prefix of the decoder or of the
/// layer.
struct TensorNames {
  std::string_view hf;
  std::string_view gguf;
};

namespace tensor_names {

inline constexpr TensorNames kEmbed{"embed_tokens.weight", "token_embd.weight"};
inline constexpr TensorNames kFinalNorm{"norm.weight", "output_norm.weight"};
inline constexpr TensorNames kMixerNorm{"input_layernorm.weight", "attn_norm.weight"};
inline constexpr TensorNames kMlpNorm{"post_attention_layernorm.weight", "post_attention_norm.weight"};
inline constexpr TensorNames kGate{"mlp.gate_proj.weight", "ffn_gate.weight"};
inline constexpr TensorNames kUp{"mlp.up_proj.weight", "ffn_up.weight"};
inline constexpr TensorNames kDown{"mlp.down_proj.weight", "ffn_down.weight"};
inline constexpr TensorNames kQkv{"linear_attn.in_proj_qkv.weight", "attn_qkv.weight"};
inline constexpr TensorNames kZ{"linear_attn.in_proj_z.weight", "attn_gate.weight"};
inline constexpr TensorNames kB{"linear_attn.in_proj_b.weight", "ssm_beta.weight"};
inline constexpr TensorNames kA{"linear_attn.in_proj_a.weight", "ssm_alpha.weight"};
inline constexpr TensorNames kOut{"linear_attn.out_proj.weight", "ssm_out.weight"};
inline constexpr TensorNames kConv{"linear_attn.conv1d.weight", "ssm_conv1d.weight"};
inline constexpr TensorNames kDecay{"linear_attn.A_log", "ssm_a"};
inline constexpr TensorNames kDtBias{"linear_attn.dt_bias", "ssm_dt.bias"};
inline constexpr TensorNames kDtBiasOllama{"linear_attn.dt_bias",
                                           "ssm_dt"};  // Ollama's converter leaves the suffix out
inline constexpr TensorNames kLinearNorm{"linear_attn.norm.weight", "ssm_norm.weight"};
inline constexpr TensorNames kQ{"self_attn.q_proj.weight", "attn_q.weight"};
inline constexpr TensorNames kK{"self_attn.k_proj.weight", "attn_k.weight"};
inline constexpr TensorNames kV{"self_attn.v_proj.weight", "attn_v.weight"};
inline constexpr TensorNames kO{"self_attn.o_proj.weight", "attn_output.weight"};
inline constexpr TensorNames kQNorm{"self_attn.q_norm.weight", "attn_q_norm.weight"};
inline constexpr TensorNames kKNorm{"self_attn.k_norm.weight", "attn_k_norm.weight"};

// Of the head that guesses ahead (multi-token prediction), beside its layer's.
inline constexpr TensorNames kMtpFc{"fc.weight", "nextn.eh_proj.weight"};
inline constexpr TensorNames kMtpEmbedNorm{"pre_fc_norm_embedding.weight", "nextn.enorm.weight"};
inline constexpr TensorNames kMtpHiddenNorm{"pre_fc_norm_hidden.weight", "nextn.hnorm.weight"};
inline constexpr TensorNames kMtpNorm{"norm.weight", "nextn.shared_head_norm.weight"};
/// GGUF's names for an embedding and an output matrix of the head's own.
inline constexpr std::string_view kGgufMtpOwn[] = {"nextn.embed_tokens.weight",
                                                   "nextn.shared_head_head.weight"};

/// The output matrix in GGUF, where it is not the embedding. (Hugging Face's names: kHeadNames.)
inline constexpr std::string_view kGgufHead = "output.weight";

/// What stands before the names of layer `layer` in GGUF: "blk.3.".
[[nodiscard]] inline std::string gguf_layer_prefix(std::int64_t layer) {
  return fmt::format("blk.{}.", layer);
}

/// GGUF's name of a tensor of layer `layer`: "blk.3.attn_q.weight".
[[nodiscard]] inline std::string gguf_layer_name(TensorNames names, std::int64_t layer) {
  return fmt::format("blk.{}.{}", layer, names.gguf);
}

}  // namespace tensor_names
}  // namespace lattice
