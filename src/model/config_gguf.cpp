#include <algorithm>

#include "formats/gguf_metadata.h"
#include "model/config_source.h"
#include "model/tensor_names.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

constexpr std::string_view kPrefix = "qwen35.";

std::string key(std::string_view name) {
  return std::string(kPrefix) + std::string(name);
}

ConfigNames gguf_names(const std::string& file) {
  ConfigNames names;
  names.file = file;
  names.prefix = kPrefix;
  names.hidden_size = "embedding_length";
  names.intermediate_size = "feed_forward_length";
  names.vocab_size = "vocab_size";
  names.max_position_embeddings = "context_length";
  names.n_layers = "block_count";
  names.attention_heads = "attention.head_count";
  names.kv_heads = "attention.head_count_kv";
  names.head_dim = "attention.key_length";
  names.rotary_dim = "rope.dimension_count";
  names.rope_theta = "rope.freq_base";
  names.linear_k_heads = "ssm.group_count";
  names.linear_v_heads = "ssm.time_step_rank";
  names.linear_head_dim = "ssm.state_size";
  names.conv_kernel = "ssm.conv_kernel";
  names.rms_norm_eps = "attention.layer_norm_rms_epsilon";
  return names;
}

/// The value of `name` where the file has an array (of one entry a block), or nullptr where it has a number
/// or nothing.
const GgufMetadata::IntArray* find_array(const GgufMetadata& metadata, const std::string& name) {
  const auto it = metadata.all().find(name);
  return it == metadata.all().end() ? nullptr : std::get_if<GgufMetadata::IntArray>(&it->second);
}

/// Layers of multi-token prediction.
std::int64_t draft_layers(const GgufMetadata& metadata) {
  return metadata.find_int(key("nextn_predict_layers")).value_or(0);
}

/// The decoder's layers. block_count includes the draft layers of multi-token prediction, which stand last.
std::vector<LayerKind> read_layers(const GgufMetadata& metadata, const std::string& file) {
  const std::int64_t blocks = metadata.get_int(key("block_count"));
  const std::int64_t draft = draft_layers(metadata);
  if (blocks < 1 || blocks > kMaxLayers) {
    fail("{}: qwen35.block_count is {}, not between 1 and {}", file, blocks, kMaxLayers);
  }
  if (draft < 0 || draft >= blocks) {
    fail("{}: qwen35.nextn_predict_layers is {}, of qwen35.block_count {}", file, draft, blocks);
  }
  const std::int64_t n_layers = blocks - draft;
  if (const auto* recurrent = metadata.find_ints(key("attention.recurrent_layers"))) {
    if (std::cmp_less(recurrent->size(), n_layers) || std::cmp_greater(recurrent->size(), blocks)) {
      fail("{}: qwen35.attention.recurrent_layers has {} entries for {} layers", file, recurrent->size(),
           n_layers);
    }
    std::vector<LayerKind> layers;
    for (std::int64_t i = 0; i < n_layers; ++i) {
      layers.push_back((*recurrent)[static_cast<std::size_t>(i)] != 0 ? LayerKind::kLinear
                                                                      : LayerKind::kFull);
    }
    return layers;
  }
  const std::int64_t interval = metadata.find_int(key("full_attention_interval")).value_or(4);
  if (interval < 1) fail("{}: qwen35.full_attention_interval is {}, not 1 or more", file, interval);
  return periodic_layers(n_layers, std::min(interval, n_layers + 1));
}

/// A number, or (as Ollama's converter writes it) an array with 0 for every linear layer.
std::int64_t read_kv_heads(const GgufMetadata& metadata, const std::string& file,
                           const std::vector<LayerKind>& layers) {
  const std::string name = key("attention.head_count_kv");
  const auto* array = find_array(metadata, name);
  if (array == nullptr) return metadata.get_int(name);
  if (array->size() < layers.size()) {
    fail("{}: {} has {} entries for {} layers", file, name, array->size(), layers.size());
  }
  const std::int64_t heads = *std::max_element(array->begin(), array->end());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool linear = layers[i] == LayerKind::kLinear;
    if ((*array)[i] != heads && !(linear && (*array)[i] == 0)) {
      fail("{}: {}[{}] is {}, which does not go with the other layers' {}", file, name, i, (*array)[i],
           heads);
    }
  }
  return heads;
}

void read_eos(const GgufMetadata& metadata, const std::string& file, Config& config) {
  // The end of a text and the end of a chat turn.
  for (const char* name : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    const std::optional<std::int64_t> id = metadata.find_int(name);
    if (!id) continue;
    if (*id < 0 || *id >= config.vocab_size) {
      fail("{}: {} is {}, outside the vocabulary of {}", file, name, *id, config.vocab_size);
    }
    config.eos_token_ids.push_back(static_cast<std::int32_t>(*id));
  }
}

void check_equal(const std::string& file, std::string_view a_name, std::int64_t a, std::string_view b_name,
                 std::int64_t b) {
  if (a != b) fail("{}: qwen35.{} is {}, but {} is {}", file, a_name, a, b_name, b);
}

}  // namespace

Config config_from_gguf(const Checkpoint& checkpoint) {
  const std::string file = checkpoint.path().string();
  const GgufMetadata& metadata = *checkpoint.gguf();
  const std::string_view architecture = metadata.get_string("general.architecture");
  if (architecture == "qwen35moe") {
    fail(
        "{}: general.architecture is qwen35moe: Lattice runs the dense models of the Qwen3.5 family, not its "
        "mixtures "
        "of experts",
        file);
  }
  if (architecture != "qwen35") {
    fail("{}: general.architecture is {}; Lattice runs qwen35", file, printable(architecture));
  }
  if (const auto scaling = metadata.find_string(key("rope.scaling.type")); scaling && *scaling != "none") {
    fail("{}: qwen35.rope.scaling.type is {}; Lattice computes the default rotary embedding alone", file,
         printable(*scaling));
  }

  Config config;
  config.hidden_size = metadata.get_int(key("embedding_length"));
  config.intermediate_size = metadata.get_int(key("feed_forward_length"));
  config.max_position_embeddings = metadata.get_int(key("context_length"));
  config.layers = read_layers(metadata, file);
  config.attention_heads = metadata.get_int(key("attention.head_count"));
  config.kv_heads = read_kv_heads(metadata, file, config.layers);
  config.head_dim = metadata.get_int(key("attention.key_length"));
  config.rotary_dim = metadata.get_int(key("rope.dimension_count"));
  config.rope_theta = metadata.get_float(key("rope.freq_base"));
  config.linear_k_heads = metadata.get_int(key("ssm.group_count"));
  config.linear_v_heads = metadata.get_int(key("ssm.time_step_rank"));
  config.linear_head_dim = metadata.get_int(key("ssm.state_size"));
  config.conv_kernel = metadata.get_int(key("ssm.conv_kernel"));
  config.rms_norm_eps = metadata.get_float(key("attention.layer_norm_rms_epsilon"));
  // llama.cpp's converter has put the V heads into tiled order. Ollama's says whether it did.
  const bool reordered = metadata.find_bool(key("ssm.v_head_reordered")).value_or(true);
  config.v_head_order = reordered ? VHeadOrder::kTiled : VHeadOrder::kGrouped;

  // The vocabulary's size is the embedding's: the key is optional, and the tokens listed may be fewer.
  const Tensor* embed = checkpoint.find("token_embd.weight");
  if (embed == nullptr) fail("{}: tensor token_embd.weight is missing", file);
  if (embed->shape.size() != 2) {
    fail("{}: tensor token_embd.weight has {} dimensions, not 2", file, embed->shape.size());
  }
  config.vocab_size = embed->shape[0];

  check_config(config, gguf_names(file));
  check_equal(file, "attention.value_length", metadata.get_int(key("attention.value_length")),
              "attention.key_length", config.head_dim);
  check_equal(file, "ssm.inner_size", metadata.get_int(key("ssm.inner_size")),
              "ssm.time_step_rank times ssm.state_size", config.linear_v_dim());
  if (const auto vocab = metadata.find_int(key("vocab_size"))) {
    check_equal(file, "vocab_size", *vocab, "the row count of token_embd.weight", config.vocab_size);
  }
  config.tie_word_embeddings = checkpoint.find(tensor_names::kGgufHead) == nullptr;
  config.mtp = draft_layers(metadata) == 1 &&
               std::ranges::none_of(tensor_names::kGgufMtpOwn, [&](std::string_view own) {
                 return checkpoint.find(fmt::format("blk.{}.{}", config.n_layers(), own)) != nullptr;
               });
  read_eos(metadata, file, config);
  return config;
}

}  // namespace lattice
