#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "model/config_source.h"
#include "support/fail.h"

namespace lattice {
namespace {

// Qwen3.5's own vocabulary, told by its size, and the two tokens that end its turns: <|endoftext|> and
// <|im_end|>. The released config.json names the first alone, while chat turns end with the second.
constexpr std::int64_t kQwen35Vocab = 248320;
constexpr std::int32_t kQwen35EndOfText = 248044;
constexpr std::int32_t kQwen35EndOfTurn = 248046;

struct Bound {
  std::string_view name;
  std::int64_t value;
  std::int64_t most;
};

}  // namespace

std::int64_t Config::count(LayerKind kind) const noexcept {
  return std::count(layers.begin(), layers.end(), kind);
}

std::int64_t Config::state_bytes() const noexcept {
  const std::int64_t matrices = linear_v_heads * linear_head_dim * linear_head_dim;
  const std::int64_t tail = conv_dim() * (conv_kernel - 1);
  return count(LayerKind::kLinear) * (matrices + tail) * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t Config::kv_bytes_per_token(std::int64_t element_bytes) const noexcept {
  return count(LayerKind::kFull) * 2 * kv_dim() * element_bytes;
}

std::vector<LayerKind> periodic_layers(std::int64_t n_layers, std::int64_t interval) {
  std::vector<LayerKind> layers(static_cast<std::size_t>(n_layers), LayerKind::kLinear);
  for (std::int64_t i = interval - 1; i < n_layers; i += interval) {
    layers[static_cast<std::size_t>(i)] = LayerKind::kFull;
  }
  return layers;
}

void check_config(const Config& config, const ConfigNames& names) {
  // The largest products that are formed from these stay far below 2^63: a matrix has at most 2^41 elements,
  // a KV cache 2^10 layers · 2^24 positions · 2^21 values.
  const Bound bounds[] = {
      {names.hidden_size, config.hidden_size, 1 << 17},
      {names.intermediate_size, config.intermediate_size, 1 << 20},
      {names.vocab_size, config.vocab_size, 1 << 24},
      {names.max_position_embeddings, config.max_position_embeddings, 1 << 24},
      {names.n_layers, config.n_layers(), kMaxLayers},
      {names.attention_heads, config.attention_heads, 1 << 10},
      {names.kv_heads, config.kv_heads, 1 << 10},
      {names.head_dim, config.head_dim, 1 << 10},
      {names.linear_k_heads, config.linear_k_heads, 1 << 10},
      {names.linear_v_heads, config.linear_v_heads, 1 << 10},
      {names.linear_head_dim, config.linear_head_dim, 1 << 10},
      {names.conv_kernel, config.conv_kernel, kMaxConvKernel},
  };
  for (const auto& [name, value, most] : bounds) {
    if (value < 1 || value > most) {
      fail("{}: {}{} is {}, not between 1 and {}", names.file, names.prefix, name, value, most);
    }
  }
  const auto check_multiple = [&](std::string_view name, std::int64_t value, std::string_view of_name,
                                  std::int64_t of) {
    if (value % of != 0) {
      fail("{}: {}{} is {}, not a multiple of {} {}", names.file, names.prefix, name, value, of_name, of);
    }
  };
  check_multiple(names.attention_heads, config.attention_heads, names.kv_heads, config.kv_heads);
  check_multiple(names.linear_v_heads, config.linear_v_heads, names.linear_k_heads, config.linear_k_heads);
  if (config.conv_kernel < 2) {
    fail("{}: {}{} is 1, which is no convolution", names.file, names.prefix, names.conv_kernel);
  }
  if (config.rotary_dim < 2 || config.rotary_dim > config.head_dim || config.rotary_dim % 2 != 0) {
    fail("{}: {}{} makes {} rotated dimensions, not an even number between 2 and the head's {}", names.file,
         names.prefix, names.rotary_dim, config.rotary_dim, config.head_dim);
  }
  if (!std::isfinite(config.rope_theta) || config.rope_theta < 1 || config.rope_theta > 1e15) {
    fail("{}: {}{} is {}, not between 1 and 1e15", names.file, names.prefix, names.rope_theta,
         config.rope_theta);
  }
  if (!std::isfinite(config.rms_norm_eps) || config.rms_norm_eps <= 0 || config.rms_norm_eps > 1) {
    fail("{}: {}{} is {}, not above 0 and at most 1", names.file, names.prefix, names.rms_norm_eps,
         config.rms_norm_eps);
  }
}

const Tensor* find_head(const Checkpoint& checkpoint) noexcept {
  for (const std::string_view name : kHeadNames) {
    if (const Tensor* tensor = checkpoint.find(name)) return tensor;
  }
  return nullptr;
}

Config Config::from(const Checkpoint& checkpoint) {
  Config config = checkpoint.kind() == CheckpointKind::kGguf ? config_from_gguf(checkpoint)
                                                             : config_from_json(checkpoint);
  std::vector<std::int32_t>& eos = config.eos_token_ids;
  if (config.vocab_size == kQwen35Vocab) eos.insert(eos.end(), {kQwen35EndOfText, kQwen35EndOfTurn});
  std::sort(eos.begin(), eos.end());
  eos.erase(std::unique(eos.begin(), eos.end()), eos.end());
  return config;
}

}  // namespace lattice
