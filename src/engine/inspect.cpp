#include "engine/inspect.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>

#include "engine/sampling_defaults.h"
#include "engine/text_assets.h"
#include "engine/traffic.h"
#include "formats/gguf_metadata.h"
#include "model/config_source.h"
#include "model/weights.h"
#include "support/fail.h"

namespace lattice {
namespace {

std::string_view format_name(CheckpointKind kind) noexcept {
  switch (kind) {
    case CheckpointKind::kSafetensors:
      return "Hugging Face safetensors";
    case CheckpointKind::kMlx:
      return "MLX safetensors";
    case CheckpointKind::kGguf:
      break;
  }
  return "GGUF";
}

std::string architecture_of(const Checkpoint& checkpoint) {
  if (const GgufMetadata* metadata = checkpoint.gguf()) {
    return std::string(metadata->get_string("general.architecture"));
  }
  const nlohmann::json& config = *checkpoint.config_json();
  const auto list = config.find("architectures");
  if (list != config.end() && list->is_array() && !list->empty() && list->front().is_string()) {
    return list->front().get<std::string>();
  }
  return config.at("model_type").get<std::string>();  // Config::from has seen it
}

/// The block that a GGUF tensor belongs to ("blk.24.attn_q.weight"), or −1.
std::int64_t gguf_block(std::string_view name) noexcept {
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return -1;
  std::int64_t block = -1;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), block);
  return block;
}

/// What a tensor is for, by the names that Hugging Face, MLX and llama.cpp give.
TensorUse use_of(const Tensor& tensor, bool is_read, CheckpointKind kind, const Config& config) noexcept {
  const std::string_view name = tensor.name;
  const TensorUse otherwise = is_read ? TensorUse::kDecoder : TensorUse::kOther;
  if (kind == CheckpointKind::kGguf) {
    // llama.cpp puts the draft layers after the decoder's.
    return gguf_block(name) >= config.n_layers() ? TensorUse::kDraft : otherwise;
  }
  for (const std::string_view prefix : {"model.visual.", "visual.", "vision_tower."}) {
    if (name.starts_with(prefix)) return TensorUse::kVision;
  }
  for (const std::string_view prefix : kMtpPrefixes) {
    if (name.starts_with(prefix)) return TensorUse::kDraft;
  }
  return otherwise;
}

void describe_tensors(CheckpointInfo& info, const Checkpoint& checkpoint, const Weights& weights) {
  for (const Tensor& tensor : checkpoint.tensors()) {
    const bool is_read = std::binary_search(weights.sources.begin(), weights.sources.end(), &tensor);
    const TensorUse use = use_of(tensor, is_read, checkpoint.kind(), info.config);
    const auto bytes = static_cast<std::int64_t>(tensor.data.size());
    info.tensors.push_back({tensor.name, tensor.shape, tensor.type_name, bytes, use, !is_read});
    info.total_bytes += bytes;
    if (is_read) (use == TensorUse::kDraft ? info.mtp_bytes : info.decoder_bytes) += bytes;
  }
}

void describe_text(CheckpointInfo& info, const Checkpoint& checkpoint) {
  const TextAssets text(checkpoint, info.config.vocab_size);
  try {
    info.tokenizer_size = text.tokenizer().size();
  } catch (const Error& error) {
    info.tokenizer_problem = error.what();
  }
  try {
    if (const ChatTemplate* chat = text.chat_template()) {
      info.has_chat_template = true;
      info.thinks_by_default = chat->thinks_by_default();
      info.chat_template_problem = chat->warning();
    }
  } catch (const Error& error) {
    info.chat_template_problem = error.what();
  }
}

}  // namespace

std::string_view tensor_use_name(TensorUse use) noexcept {
  switch (use) {
    case TensorUse::kDecoder:
      return "decoder";
    case TensorUse::kVision:
      return "vision";
    case TensorUse::kDraft:
      return "draft";
    case TensorUse::kOther:
      break;
  }
  return "other";
}

std::int64_t CheckpointInfo::bytes_per_token(std::int64_t context,
                                             std::int64_t kv_element_bytes) const noexcept {
  return lattice::bytes_per_token(config, weight_bytes_per_token, kv_element_bytes, context);
}

double CheckpointInfo::predicted_rate(double bytes_per_second, std::int64_t context,
                                      std::int64_t kv_element_bytes) const {
  if (!std::isfinite(bytes_per_second) || bytes_per_second <= 0) {
    fail_usage("a bandwidth of {} bytes a second predicts nothing", bytes_per_second);
  }
  return bytes_per_second / static_cast<double>(bytes_per_token(context, kv_element_bytes));
}

CheckpointInfo inspect(const std::filesystem::path& path) {
  const std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path);
  CheckpointInfo info;
  info.path = path;
  info.format = format_name(checkpoint->kind());
  info.config = Config::from(*checkpoint);
  info.architecture = architecture_of(*checkpoint);
  info.sampling = sampling_defaults(*checkpoint);

  const Weights weights = Weights::bind(*checkpoint, info.config, Weights::ValueCheck::kSmall);
  describe_tensors(info, *checkpoint, weights);
  info.parameters = weights.parameters();
  info.weight_bytes_per_token = weights.bytes_per_token();
  info.state_bytes = info.config.state_bytes();
  info.kv_bytes_per_token_f32 = info.config.kv_bytes_per_token(sizeof(float));
  info.kv_bytes_per_token_f16 = info.config.kv_bytes_per_token(sizeof(std::uint16_t));
  describe_text(info, *checkpoint);
  return info;
}

}  // namespace lattice
