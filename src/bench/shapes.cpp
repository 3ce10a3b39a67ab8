#include "bench/shapes.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/ranges.h>

#include "support/fail.h"
#include "support/printable.h"

namespace lattice::bench {
namespace {

/// The fields of config.json in which the released models differ.
struct Scale {
  std::string_view name;
  std::int64_t hidden_size;
  std::int64_t intermediate_size;
  std::int64_t n_layers;
  std::int64_t attention_heads;
  std::int64_t kv_heads;
  std::int64_t linear_v_heads;
  bool tied;
};

constexpr std::array kScales = {
    Scale{"0.8b", 1024, 3584, 24, 8, 2, 16, true},   Scale{"2b", 2048, 6144, 24, 8, 2, 16, true},
    Scale{"4b", 2560, 9216, 32, 16, 4, 32, true},    Scale{"9b", 4096, 12288, 32, 16, 4, 32, false},
    Scale{"27b", 5120, 17408, 64, 24, 4, 48, false},
};

constexpr std::int64_t kFullAttentionInterval = 4;

}  // namespace

const std::vector<std::string_view>& shape_names() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> out;
    out.reserve(kScales.size());
    for (const Scale& scale : kScales) out.push_back(scale.name);
    return out;
  }();
  return names;
}

Config shape_config(std::string_view name) {
  const auto* scale = std::ranges::find(kScales, name, &Scale::name);
  if (scale == kScales.end()) {
    fail_usage("there is no shape {}; choose one of {}", printable(name), fmt::join(shape_names(), ", "));
  }
  Config config;
  config.hidden_size = scale->hidden_size;
  config.intermediate_size = scale->intermediate_size;
  config.vocab_size = 248320;
  config.max_position_embeddings = 262144;
  for (std::int64_t i = 1; i <= scale->n_layers; ++i) {
    config.layers.push_back(i % kFullAttentionInterval == 0 ? LayerKind::kFull : LayerKind::kLinear);
  }
  config.attention_heads = scale->attention_heads;
  config.kv_heads = scale->kv_heads;
  config.head_dim = 256;
  config.rotary_dim = 64;
  config.rope_theta = 1e7;
  config.linear_k_heads = 16;
  config.linear_v_heads = scale->linear_v_heads;
  config.linear_head_dim = 128;
  config.conv_kernel = 4;
  config.rms_norm_eps = 1e-6;
  config.tie_word_embeddings = scale->tied;
  return config;
}

std::vector<MatrixShape> matrix_shapes(const Config& config) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t linear = config.count(LayerKind::kLinear);
  const std::int64_t full = config.count(LayerKind::kFull);
  return {
      {"qkv", config.conv_dim(), hidden, linear},
      {"z", config.linear_v_dim(), hidden, linear},
      {"ba", 2 * config.linear_v_heads, hidden, linear},
      {"linear_out", hidden, config.linear_v_dim(), linear},
      {"q", 2 * config.q_dim(), hidden, full},
      {"kv", 2 * config.kv_dim(), hidden, full},
      {"full_out", hidden, config.q_dim(), full},
      {"gate_up", 2 * config.intermediate_size, hidden, config.n_layers()},
      {"down", hidden, config.intermediate_size, config.n_layers()},
      {"head", config.vocab_size, hidden, 1},
  };
}

const std::vector<DType>& random_types() {
  static const std::vector<DType> types = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ5_K,
                                           DType::kQ6_K, DType::kBF16, DType::kF16,  DType::kF32};
  return types;
}

DType random_type(std::string_view name) {
  const std::optional<DType> type = dtype_from_name(name);
  if (!type || std::ranges::find(random_types(), *type) == random_types().end()) {
    fail_usage(
        "random weights are not made in {}; choose one of q8_0, q4_0, q4_k, q5_k, q6_k, bf16, f16, f32",
        printable(name));
  }
  return *type;
}

}  // namespace lattice::bench
