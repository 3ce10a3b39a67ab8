#include <algorithm>

#include <nlohmann/json.hpp>

#include "model/config_source.h"
#include "support/fail.h"
#include "support/printable.h"

namespace lattice {
namespace {

using nlohmann::json;

/// One object of a JSON file, with the path that leads to it.
class Fields {
 public:
  Fields(std::string file, std::string prefix, const json& object)
      : file_(std::move(file)), prefix_(std::move(prefix)), object_(object) {}

  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }

  /// The field, or nullptr where it is absent or null.
  [[nodiscard]] const json* find(std::string_view name) const {
    const auto it = object_.find(name);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  [[nodiscard]] const json& get(std::string_view name) const {
    if (const json* value = find(name)) return *value;
    fail("{}: {}{} is missing", file_, prefix_, name);
  }
  [[nodiscard]] std::optional<Fields> find_object(std::string_view name) const {
    const json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_object()) wrong_type(name, "an object");
    return Fields(file_, prefix_ + std::string(name) + ".", *value);
  }
  [[nodiscard]] std::int64_t get_int(std::string_view name) const { return as_int(name, get(name)); }
  [[nodiscard]] double get_number(std::string_view name) const {
    const json& value = get(name);
    if (!value.is_number()) wrong_type(name, "a number");
    return value.get<double>();
  }
  [[nodiscard]] std::optional<bool> find_bool(std::string_view name) const {
    const json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) wrong_type(name, "true or false");
    return value->get<bool>();
  }
  [[nodiscard]] std::optional<std::string> find_string(std::string_view name) const {
    const json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) wrong_type(name, "a string");
    return value->get<std::string>();
  }
  [[nodiscard]] std::int64_t as_int(std::string_view name, const json& value) const {
    if (!value.is_number_integer()) wrong_type(name, "a whole number");
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
      fail("{}: {}{} is {}, which is too large", file_, prefix_, name, value.get<std::uint64_t>());
    }
    return value.get<std::int64_t>();
  }
  [[noreturn]] void wrong_type(std::string_view name, std::string_view wanted) const {
    fail("{}: {}{} is not {}", file_, prefix_, name, wanted);
  }

 private:
  std::string file_;
  std::string prefix_;
  const json& object_;
};

/// The decoder's own fields: text_config of a vision-language checkpoint, or the top level of a text one.
Fields decoder_fields(const Fields& top) {
  const std::string type = top.find_string("model_type").value_or("");
  if (type == "qwen3_5") {
    const std::optional<Fields> text = top.find_object("text_config");
    if (!text) fail("{}: text_config is missing, though model_type is qwen3_5", top.file());
    if (const auto inner = text->find_string("model_type"); inner && *inner != "qwen3_5_text") {
      fail("{}: text_config.model_type is {}, not qwen3_5_text", top.file(), printable(*inner));
    }
    return *text;
  }
  if (type == "qwen3_5_text") return top;
  if (type == "qwen3_5_moe" || type == "qwen3_5_moe_text") {
    fail(
        "{}: model_type is {}: Lattice runs the dense models of the Qwen3.5 family, not its mixtures of "
        "experts",
        top.file(), printable(type));
  }
  if (type.empty()) fail("{}: model_type is missing; Lattice runs qwen3_5 and qwen3_5_text", top.file());
  fail("{}: model_type is {}; Lattice runs qwen3_5 and qwen3_5_text", top.file(), printable(type));
}

/// Refuses what would be computed wrongly: switches that no model of the family uses, and other ways to
/// quantise.
void check_switches(const Fields& top, const Fields& text) {
  const auto expect = [&](std::string_view name, bool wanted) {
    if (text.find_bool(name).value_or(wanted) != wanted) {
      fail("{}: {}{} is {}, which no Qwen3.5 model has and Lattice does not compute", text.file(),
           text.prefix(), name, !wanted);
    }
  };
  expect("attention_bias", false);
  expect("attn_output_gate", true);
  if (const auto act = text.find_string("hidden_act"); act && *act != "silu") {
    fail("{}: {}hidden_act is {}, not silu", text.file(), text.prefix(), printable(*act));
  }
  if (const auto quantization = top.find_object("quantization_config")) {
    if (const auto method = quantization->find_string("quant_method")) {
      fail(
          "{}: quantization_config.quant_method is {}, which Lattice does not read; use the original "
          "checkpoint, "
          "an MLX conversion or a GGUF file",
          top.file(), printable(*method));
    }
  }
}

std::vector<LayerKind> read_layers(const Fields& text) {
  const std::int64_t n_layers = text.get_int("num_hidden_layers");
  if (n_layers < 1 || n_layers > kMaxLayers) {
    fail("{}: {}num_hidden_layers is {}, not between 1 and {}", text.file(), text.prefix(), n_layers,
         kMaxLayers);
  }
  const json* types = text.find("layer_types");
  if (types == nullptr) {
    const std::int64_t interval =
        text.find("full_attention_interval") ? text.get_int("full_attention_interval") : 4;
    if (interval < 1) {
      fail("{}: {}full_attention_interval is {}, not 1 or more", text.file(), text.prefix(), interval);
    }
    return periodic_layers(n_layers, std::min(interval, n_layers + 1));
  }
  if (!types->is_array()) text.wrong_type("layer_types", "an array");
  if (types->size() != static_cast<std::size_t>(n_layers)) {
    fail("{}: {}layer_types has {} entries for num_hidden_layers {}", text.file(), text.prefix(),
         types->size(), n_layers);
  }
  std::vector<LayerKind> layers;
  for (std::size_t i = 0; i < types->size(); ++i) {
    const json& type = (*types)[i];
    if (type == "linear_attention") {
      layers.push_back(LayerKind::kLinear);
    } else if (type == "full_attention") {
      layers.push_back(LayerKind::kFull);
    } else {
      fail("{}: {}layer_types[{}] is neither \"linear_attention\" nor \"full_attention\"", text.file(),
           text.prefix(), i);
    }
  }
  return layers;
}

/// Heads of several layers or with an embedding of their own, which no released model has, are left alone.
bool read_mtp(const Fields& text) {
  if (text.find("mtp_num_hidden_layers") == nullptr) return false;
  const std::int64_t n_layers = text.get_int("mtp_num_hidden_layers");
  if (n_layers < 0 || n_layers > kMaxLayers) {
    fail("{}: {}mtp_num_hidden_layers is {}, not between 0 and {}", text.file(), text.prefix(), n_layers,
         kMaxLayers);
  }
  return n_layers == 1 && !text.find_bool("mtp_use_dedicated_embeddings").value_or(false);
}

/// The rotary fields stand in rope_parameters; files of the first weeks have them beside the other fields.
void read_rope(const Fields& text, Config& config) {
  const Fields rope = text.find_object("rope_parameters").value_or(text);
  for (const std::string_view name : {"rope_type", "type"}) {
    if (const auto type = rope.find_string(name); type && *type != "default") {
      fail("{}: {}{} is {}; Lattice computes the default rotary embedding alone", rope.file(), rope.prefix(),
           name, printable(*type));
    }
  }
  config.rope_theta = rope.get_number("rope_theta");
  double factor = 0.25;  // what Qwen3_5TextConfig takes where it is not given
  if (rope.find("partial_rotary_factor")) {
    factor = rope.get_number("partial_rotary_factor");
  } else if (text.find("partial_rotary_factor")) {
    factor = text.get_number("partial_rotary_factor");
  }
  if (!(factor > 0 && factor <= 1)) {
    fail("{}: {}partial_rotary_factor is {}, not above 0 and at most 1", rope.file(), rope.prefix(), factor);
  }
  config.rotary_dim = static_cast<std::int64_t>(static_cast<double>(config.head_dim) * factor);
}

/// eos_token_id: absent, a number or an array of numbers.
void read_eos(const Fields& fields, Config& config) {
  const json* value = fields.find("eos_token_id");
  if (value == nullptr) return;
  const auto add = [&](const json& id) {
    const std::int64_t token = fields.as_int("eos_token_id", id);
    if (token < 0 || token >= config.vocab_size) {
      fail("{}: {}eos_token_id is {}, outside the vocabulary of {}", fields.file(), fields.prefix(), token,
           config.vocab_size);
    }
    config.eos_token_ids.push_back(static_cast<std::int32_t>(token));
  };
  if (value->is_array()) {
    for (const json& id : *value) add(id);
  } else {
    add(*value);
  }
}

ConfigNames json_names(const Fields& text) {
  ConfigNames names;
  names.file = text.file();
  names.prefix = text.prefix();
  names.hidden_size = "hidden_size";
  names.intermediate_size = "intermediate_size";
  names.vocab_size = "vocab_size";
  names.max_position_embeddings = "max_position_embeddings";
  names.n_layers = "num_hidden_layers";
  names.attention_heads = "num_attention_heads";
  names.kv_heads = "num_key_value_heads";
  names.head_dim = "head_dim";
  names.rotary_dim = "partial_rotary_factor";
  names.rope_theta = "rope_theta";
  names.linear_k_heads = "linear_num_key_heads";
  names.linear_v_heads = "linear_num_value_heads";
  names.linear_head_dim = "linear_key_head_dim";
  names.conv_kernel = "linear_conv_kernel_dim";
  names.rms_norm_eps = "rms_norm_eps";
  return names;
}

std::string path_of(const Checkpoint& checkpoint, const char* file) {
  return (checkpoint.path() / file).string();
}

}  // namespace

Config config_from_json(const Checkpoint& checkpoint) {
  const std::string file = path_of(checkpoint, "config.json");
  const json* root = checkpoint.config_json();
  if (root == nullptr) fail("{}: there is none, and without it the model's shape is unknown", file);
  if (!root->is_object()) fail("{}: it holds no object", file);
  const Fields top(file, "", *root);
  const Fields text = decoder_fields(top);
  check_switches(top, text);

  Config config;
  config.hidden_size = text.get_int("hidden_size");
  config.intermediate_size = text.get_int("intermediate_size");
  config.vocab_size = text.get_int("vocab_size");
  config.max_position_embeddings = text.get_int("max_position_embeddings");
  config.layers = read_layers(text);
  config.attention_heads = text.get_int("num_attention_heads");
  config.kv_heads = text.get_int("num_key_value_heads");
  config.head_dim = text.get_int("head_dim");
  config.linear_k_heads = text.get_int("linear_num_key_heads");
  config.linear_v_heads = text.get_int("linear_num_value_heads");
  config.linear_head_dim = text.get_int("linear_key_head_dim");
  config.conv_kernel = text.get_int("linear_conv_kernel_dim");
  config.rms_norm_eps = text.get_number("rms_norm_eps");
  if (const std::int64_t v_dim = text.get_int("linear_value_head_dim"); v_dim != config.linear_head_dim) {
    fail("{}: {}linear_value_head_dim is {}, but linear_key_head_dim is {}: Lattice wants them equal", file,
         text.prefix(), v_dim, config.linear_head_dim);
  }
  read_rope(text, config);
  check_config(config, json_names(text));

  // Tied when the flag says so and no matrix contradicts it: a checkpoint that carries an output matrix means
  // it.
  const bool flag = text.find_bool("tie_word_embeddings").value_or(false) ||
                    top.find_bool("tie_word_embeddings").value_or(false);
  const bool has_head = find_head(checkpoint) != nullptr;
  if (!flag && !has_head) {
    fail("{}: {}tie_word_embeddings is not true, but the checkpoint has no lm_head.weight", file,
         text.prefix());
  }
  config.tie_word_embeddings = !has_head;
  config.mtp = read_mtp(text);

  read_eos(text, config);
  read_eos(top, config);
  if (const json* generation = checkpoint.generation_config_json()) {
    const std::string generation_file = path_of(checkpoint, "generation_config.json");
    if (!generation->is_object()) fail("{}: it holds no object", generation_file);
    read_eos(Fields(generation_file, "", *generation), config);
  }
  return config;
}

}  // namespace lattice
