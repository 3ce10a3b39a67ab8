#include "convert/gguf_architecture.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "formats/gguf_metadata.h"
#include "model/config_source.h"
#include "support/fail.h"
#include "support/utf8.h"

namespace lattice {
namespace {

using nlohmann::json;
using Sections = std::array<std::int32_t, 4>;

constexpr std::string_view kSectionsKey = "qwen35.rope.dimension_sections";

/// enum llama_ftype of llama.cpp's include/llama.h.
std::uint32_t file_type(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:
      fail_usage("a file of {} cannot be written; choose f32, f16, bf16, q8_0 or q4_0", dtype_name(type));
  }
}

/// How many of the rotary frequencies follow the time, the height and the width of a picture: every third one
/// each, as `mrope_interleaved` deals them out. For 32 frequencies [11, 11, 10], as all released models have.
Sections interleaved_sections(std::int64_t rotary_dim) {
  const std::int64_t frequencies = rotary_dim / 2;
  Sections sections{};
  for (std::int64_t i = 0; i < 3; ++i) {
    sections[static_cast<std::size_t>(i)] = static_cast<std::int32_t>((frequencies + 2 - i) / 3);
  }
  return sections;
}

/// `values` as sections, where they can be: at most four of them, none negative.
template <typename Values>
Sections checked_sections(const std::string& field, const Values& values) {
  Sections sections{};
  bool good = values.size() <= sections.size();
  for (std::size_t i = 0; good && i < values.size(); ++i) {
    good = values[i] >= 0 && values[i] <= std::numeric_limits<std::int32_t>::max();
    if (good) sections[i] = static_cast<std::int32_t>(values[i]);
  }
  if (!good) fail("{} is not made of at most four numbers from 0 on", field);
  return sections;
}

/// The sections that the checkpoint names, or those of the released models.
Sections mrope_sections(const Checkpoint& checkpoint, const Config& config) {
  const std::string file = checkpoint.path().string();
  if (const GgufMetadata* metadata = checkpoint.gguf()) {
    const auto* sections = metadata->find_ints(kSectionsKey);
    if (sections == nullptr) return interleaved_sections(config.rotary_dim);
    return checked_sections(fmt::format("{}: {}", file, kSectionsKey), *sections);
  }
  for (const char* const pointer :
       {"/text_config/rope_parameters/mrope_section", "/rope_parameters/mrope_section"}) {
    const json::json_pointer at(pointer);
    const json& root = *checkpoint.config_json();
    if (!root.contains(at)) continue;
    const json& value = root[at];
    std::vector<std::int64_t> sections;
    for (const json& element : value)
      sections.push_back(element.is_number_integer() ? element.get<std::int64_t>() : -1);
    if (!value.is_array()) sections = {-1};
    return checked_sections(fmt::format("{}/config.json: {}", file, pointer + 1), sections);
  }
  return interleaved_sections(config.rotary_dim);
}

/// Which layers are full attention: an interval where one describes it, else a flag for each of `n_blocks`,
/// of which those behind the decoder's layers are.
void add_layer_kinds(GgufWriter& writer, const Config& config, std::int64_t n_blocks) {
  constexpr std::int64_t kUsual = 4;
  std::vector<std::int64_t> intervals{kUsual};
  for (std::int64_t i = 1; i <= config.n_layers() + 1; ++i) intervals.push_back(i);
  for (const std::int64_t interval : intervals) {
    if (periodic_layers(config.n_layers(), interval) != config.layers) continue;
    writer.add("qwen35.full_attention_interval", static_cast<std::uint32_t>(interval));
    return;
  }
  const auto size = static_cast<std::size_t>(n_blocks);
  const auto flags = std::make_unique<bool[]>(size);  // no std::vector<bool>: it has no span
  for (std::size_t i = 0; i < config.layers.size(); ++i) flags[i] = config.layers[i] == LayerKind::kLinear;
  writer.add_array<bool>("qwen35.attention.recurrent_layers", std::span(flags.get(), size));
}

/// What to call the model: what its GGUF file calls it, or the last part of its path.
std::string model_name(const Checkpoint& checkpoint) {
  if (const GgufMetadata* metadata = checkpoint.gguf()) {
    if (const auto name = metadata->find_string("general.name")) return std::string(*name);
  }
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::absolute(checkpoint.path(), ignored).lexically_normal();
  const std::filesystem::path last = path.has_filename() ? path.filename() : path.parent_path().filename();
  const std::string name = checkpoint.gguf() == nullptr ? last.string() : last.stem().string();
  return is_utf8(name) ? name : "model";
}

}  // namespace

void add_architecture(GgufWriter& writer, const Checkpoint& checkpoint, const Config& config, bool has_mtp,
                      DType type) {
  // Config's fields are within their bounds, far below 2^32.
  const auto add = [&](const char* key, std::int64_t value) {
    writer.add(std::string("qwen35.") + key, static_cast<std::uint32_t>(value));
  };
  const auto add_float = [&](const char* key, double value) {
    writer.add(std::string("qwen35.") + key, static_cast<float>(value));
  };
  writer.add("general.architecture", "qwen35");
  writer.add("general.type", "model");
  writer.add("general.name", model_name(checkpoint));
  writer.add("general.file_type", file_type(type));
  writer.add("general.quantization_version", std::uint32_t{2});  // GGML_QNT_VERSION of include/ggml.h

  const std::int64_t n_blocks = config.n_layers() + (has_mtp ? 1 : 0);
  add("block_count", n_blocks);
  if (has_mtp) add("nextn_predict_layers", 1);
  add("context_length", config.max_position_embeddings);
  add("embedding_length", config.hidden_size);
  add("feed_forward_length", config.intermediate_size);
  add("vocab_size", config.vocab_size);
  add("attention.head_count", config.attention_heads);
  add("attention.head_count_kv", config.kv_heads);
  add("attention.key_length", config.head_dim);
  add("attention.value_length", config.head_dim);
  add_float("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  add_float("rope.freq_base", config.rope_theta);
  add("rope.dimension_count", config.rotary_dim);
  writer.add_array<std::int32_t>(kSectionsKey, mrope_sections(checkpoint, config));
  add("ssm.conv_kernel", config.conv_kernel);
  add("ssm.state_size", config.linear_head_dim);
  add("ssm.group_count", config.linear_k_heads);
  add("ssm.time_step_rank", config.linear_v_heads);
  add("ssm.inner_size", config.linear_v_dim());
  add_layer_kinds(writer, config, n_blocks);
}

void add_sampling_defaults(GgufWriter& writer, const Checkpoint& checkpoint) {
  const json* generation = checkpoint.generation_config_json();
  if (generation == nullptr) return;
  // Told not to sample, a program that knows no such switch must not be given what to sample with.
  if (const auto it = generation->find("do_sample"); it != generation->end() && *it == false) return;
  const auto number = [&](const char* name) -> std::optional<double> {
    const auto it = generation->find(name);
    if (it == generation->end() || !it->is_number()) return std::nullopt;
    const double value = it->get<double>();
    return std::abs(value) <= std::numeric_limits<std::int32_t>::max() ? std::optional(value) : std::nullopt;
  };
  if (const auto top_k = number("top_k")) {
    writer.add("general.sampling.top_k", static_cast<std::int32_t>(*top_k));
  }
  struct Float {
    const char* hugging_face;
    const char* gguf;
  };
  for (const auto& [hugging_face, gguf] :
       {Float{"temperature", "temp"}, Float{"top_p", "top_p"}, Float{"min_p", "min_p"},
        Float{"repetition_penalty", "penalty_repeat"}}) {
    if (const auto value = number(hugging_face)) {
      writer.add(std::string("general.sampling.") + gguf, static_cast<float>(*value));
    }
  }
}

}  // namespace lattice
