#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lattice/sampling.hpp"
#include "model/config.h"

namespace lattice {

/// What a tensor of a checkpoint is there for.
enum class TensorUse : std::uint8_t {
  kDecoder,  ///< read by every forward pass
  kVision,   ///< ignored: the image encoder
  kDraft,    ///< of the head that guesses ahead (MTP): read where it is asked to; ignored where it is of a
             ///< kind that Lattice does not run
  kOther,    ///< ignored: something that we do not know
};
/// "decoder", "vision", "draft", "other".
[[nodiscard]] std::string_view tensor_use_name(TensorUse use) noexcept;

struct TensorInfo {
  std::string name;                 ///< as in the file: not to be trusted on a terminal (printable())
  std::vector<std::int64_t> shape;  ///< outermost first, as stored (MLX packs several numbers into a U32)
  std::string type;                 ///< the file's own name
  std::int64_t bytes = 0;
  TensorUse use = TensorUse::kDecoder;
  bool is_ignored = false;
};

/// Everything that can be said of a checkpoint without reading its weights.
struct CheckpointInfo {
  std::filesystem::path path;
  std::string format;        ///< "Hugging Face safetensors", "MLX safetensors", "GGUF"
  std::string architecture;  ///< the file's own word: "Qwen3_5ForCausalLM", "qwen35"
  Config config;

  std::vector<TensorInfo> tensors;  ///< all of them, in the checkpoint's order
  std::int64_t total_bytes = 0;     ///< of all tensors
  std::int64_t decoder_bytes = 0;   ///< of those that the decoder reads
  std::int64_t mtp_bytes = 0;       ///< of the head that guesses ahead (MTP); 0 where there is none
  std::int64_t parameters = 0;      ///< of the decoder, the embedding included

  std::int64_t weight_bytes_per_token =
      0;                         ///< that decoding one token reads; a row of the embedding is not counted
  std::int64_t state_bytes = 0;  ///< recurrent state of one sequence; decoding reads and writes it
  std::int64_t kv_bytes_per_token_f32 = 0;  ///< of KV cache, for each token of context
  std::int64_t kv_bytes_per_token_f16 = 0;

  std::optional<std::int64_t> tokenizer_size;  ///< ids that the tokenizer has; nothing where there is none
  std::string tokenizer_problem;               ///< why there is none: one sentence
  bool has_chat_template = false;
  bool thinks_by_default = false;     ///< whether the chat template opens a reply with reasoning
  std::string chat_template_problem;  ///< one sentence where the template is unknown or broken
  Sampling sampling;                  ///< what the checkpoint recommends

  /// Bytes that decoding the token at position `context` moves.
  [[nodiscard]] std::int64_t bytes_per_token(std::int64_t context,
                                             std::int64_t kv_element_bytes) const noexcept;
  /// Tokens a second at position `context` if reading and writing `bytes_per_second` were all the work: the
  /// ceiling for a machine of that bandwidth. Throws Error(kUsage) unless the bandwidth is positive and
  /// finite.
  [[nodiscard]] double predicted_rate(double bytes_per_second, std::int64_t context,
                                      std::int64_t kv_element_bytes) const;
};

/// Opens `path` and checks all that load() checks but the values of large matrices. Throws Error as load()
/// does, except for a tokenizer or a chat template that cannot be used, which is part of the answer.
[[nodiscard]] CheckpointInfo inspect(const std::filesystem::path& path);

}  // namespace lattice
