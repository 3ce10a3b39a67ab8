#include "engine/inspect.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/bandwidth.h"
#include "cli/commands.h"
#include "cli/model_arguments.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "support/printable.h"
#include "support/thread_pool.h"

namespace lattice::cli {
namespace {

constexpr const char* kInspectExamples =
    R"(The weights are not loaded. A token's bytes are the weights that it reads, the recurrent state that it reads
and writes, and the keys and values before it (here in f16; --kv f32 doubles those). The prediction is this
machine's memory bandwidth, measured now, divided by those bytes: no engine can be faster.

Examples:
  lattice inspect
  lattice inspect qwen.gguf --tensors
  lattice inspect models/Qwen3.5-0.8B --json)";

struct InspectArguments {
  std::optional<std::filesystem::path> model_path;
  bool tensors = false;
  bool json = false;
};

constexpr std::int64_t kKvBytes = 2;  // of a number, where nobody asks for f32

/// Positions that bytes and speed are given for: 0, then those that the model reaches.
std::vector<std::int64_t> contexts_of(const Config& config) {
  std::vector<std::int64_t> out = {0};
  for (const std::int64_t context : {512, 4096, 16384, 65536, 262144}) {
    if (context <= config.max_position_embeddings) out.push_back(context);
  }
  return out;
}

/// "model.layers.3.mlp.up_proj.weight" → "model.layers.*.mlp.up_proj.weight".
std::string pattern_of(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find('.'));
    const bool is_number = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    out += is_number ? "*" : part;
    name.remove_prefix(part.size());
    if (name.empty()) break;
    out += '.';
    name.remove_prefix(1);
  }
  return out;
}

struct TensorGroup {
  TensorInfo tensor;  ///< the name with "*" for the layer, the bytes of all together
  std::int64_t count = 0;
};

/// Tensors that differ in nothing but the numbers in their names, together.
std::vector<TensorGroup> groups_of(const std::vector<TensorInfo>& tensors) {
  std::vector<TensorGroup> groups;
  for (const TensorInfo& tensor : tensors) {
    std::string pattern = pattern_of(tensor.name);
    const auto same = std::ranges::find_if(groups, [&](const TensorGroup& group) {
      return group.tensor.name == pattern && group.tensor.shape == tensor.shape &&
             group.tensor.type == tensor.type;
    });
    if (same != groups.end()) {
      same->tensor.bytes += tensor.bytes;
      ++same->count;
      continue;
    }
    groups.push_back({tensor, 1});
    groups.back().tensor.name = std::move(pattern);
  }
  return groups;
}

void print_tensors(const CheckpointInfo& info, bool all) {
  std::vector<TensorGroup> groups;
  if (all) {
    for (const TensorInfo& tensor : info.tensors) groups.push_back({tensor, 1});
  } else {
    groups = groups_of(info.tensors);
  }
  Table table({{"tensor"},
               {"count", Table::Align::kRight},
               {"shape", Table::Align::kRight},
               {"type"},
               {"bytes", Table::Align::kRight},
               {"use"}});
  for (const TensorGroup& group : groups) {
    const TensorInfo& tensor = group.tensor;
    const std::string use = tensor.use == TensorUse::kDecoder ? "" : std::string(tensor_use_name(tensor.use));
    table.add({without_controls(tensor.name), format_count(group.count),
               fmt::format("{}", fmt::join(tensor.shape, " x ")), without_controls(tensor.type),
               format_count(tensor.bytes), tensor.is_ignored ? use + ", ignored" : use});
  }
  table.print();
}

std::string tokenizer_line(const CheckpointInfo& info) {
  if (!info.tokenizer_size) return "none: " + info.tokenizer_problem;
  return fmt::format("{} ids", format_count(*info.tokenizer_size));
}

std::string template_line(const CheckpointInfo& info) {
  if (!info.chat_template_problem.empty()) return info.chat_template_problem;
  if (!info.has_chat_template) return "none: a base model, which goes on from a text";
  return info.thinks_by_default ? "yes, thinks by default" : "yes, answers at once by default";
}

std::string sampling_line(const Sampling& sampling) {
  if (sampling.is_greedy()) return "greedy";
  std::string out = fmt::format("temperature {}", sampling.temperature);
  if (sampling.top_k > 0) out += fmt::format(", top-k {}", sampling.top_k);
  if (sampling.top_p < 1) out += fmt::format(", top-p {}", sampling.top_p);
  if (sampling.min_p > 0) out += fmt::format(", min-p {}", sampling.min_p);
  return out;
}

void print_configuration(const CheckpointInfo& info) {
  const Config& config = info.config;
  const auto bytes = [](std::int64_t count) { return format_bytes(static_cast<double>(count)); };
  Table table({{""}, {""}});
  table.add({"model", without_controls(info.path.string())});
  table.add({"format", info.format});
  table.add({"architecture", without_controls(info.architecture)});
  table.add({"parameters", format_count(info.parameters)});
  table.add({"layers", fmt::format("{}: {} linear (Gated DeltaNet), {} full attention", config.n_layers(),
                                   config.count(LayerKind::kLinear), config.count(LayerKind::kFull))});
  table.add({"hidden size", fmt::format("{}, MLP {}", config.hidden_size, config.intermediate_size)});
  table.add({"full attention",
             fmt::format("{} query heads, {} key-value heads, head size {}, rotary on {}, theta {}",
                         config.attention_heads, config.kv_heads, config.head_dim, config.rotary_dim,
                         format_count(static_cast<std::int64_t>(config.rope_theta)))});
  table.add({"linear attention",
             fmt::format("{} key heads, {} value heads, head size {}, convolution {}", config.linear_k_heads,
                         config.linear_v_heads, config.linear_head_dim, config.conv_kernel)});
  table.add({"vocabulary", fmt::format("{}, head {}", format_count(config.vocab_size),
                                       config.tie_word_embeddings ? "tied to the embedding" : "of its own")});
  table.add({"longest context", format_count(config.max_position_embeddings) + " tokens"});
  table.add({"tokenizer", without_controls(tokenizer_line(info))});
  table.add({"chat template", without_controls(template_line(info))});
  table.add({"sampling", sampling_line(info.sampling)});
  table.add({"tensors", fmt::format("{}, {}; of the decoder {}",
                                    format_count(static_cast<std::int64_t>(info.tensors.size())),
                                    bytes(info.total_bytes), bytes(info.decoder_bytes))});
  table.add({"draft head", info.mtp_bytes > 0 ? bytes(info.mtp_bytes) + " (MTP), for --draft mtp" : "none"});
  table.add({"recurrent state", bytes(info.state_bytes) + " a sequence"});
  table.add(
      {"keys and values", fmt::format("{} a token in f32, {} in f16", bytes(info.kv_bytes_per_token_f32),
                                      bytes(info.kv_bytes_per_token_f16))});
  table.print();
}

void print_prediction(const CheckpointInfo& info, std::optional<double> bandwidth) {
  Table table({{"at context", Table::Align::kRight},
               {"MB a token", Table::Align::kRight},
               {"at most tok/s", Table::Align::kRight}});
  for (const std::int64_t context : contexts_of(info.config)) {
    table.add({format_count(context),
               format_figure(static_cast<double>(info.bytes_per_token(context, kKvBytes)) / 1e6),
               bandwidth ? format_figure(info.predicted_rate(*bandwidth, context, kKvBytes)) : "?"});
  }
  table.print();
  if (bandwidth)
    print_out("at {}/s, which this machine's memory gives {} threads\n", format_bytes(*bandwidth),
              usable_processors());
}

nlohmann::ordered_json config_json(const Config& config) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerKind kind : config.layers) {
    layers.push_back(kind == LayerKind::kLinear ? "linear_attention" : "full_attention");
  }
  return {{"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"layer_types", std::move(layers)},
          {"num_attention_heads", config.attention_heads},
          {"num_key_value_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"rotary_dim", config.rotary_dim},
          {"rope_theta", config.rope_theta},
          {"linear_num_key_heads", config.linear_k_heads},
          {"linear_num_value_heads", config.linear_v_heads},
          {"linear_head_dim", config.linear_head_dim},
          {"linear_conv_kernel_dim", config.conv_kernel},
          {"rms_norm_eps", config.rms_norm_eps},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"eos_token_id", config.eos_token_ids}};
}

nlohmann::ordered_json tensors_json(const std::vector<TensorInfo>& tensors) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const TensorInfo& tensor : tensors) {
    out.push_back({{"name", tensor.name},
                   {"shape", tensor.shape},
                   {"type", tensor.type},
                   {"bytes", tensor.bytes},
                   {"use", tensor_use_name(tensor.use)}});
  }
  return out;
}

nlohmann::ordered_json prediction_json(const CheckpointInfo& info, std::optional<double> bandwidth) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const std::int64_t context : contexts_of(info.config)) {
    nlohmann::ordered_json entry = {{"context", context},
                                    {"bytes_per_token", info.bytes_per_token(context, kKvBytes)}};
    if (bandwidth) entry["tokens_per_second"] = info.predicted_rate(*bandwidth, context, kKvBytes);
    out.push_back(std::move(entry));
  }
  return out;
}

void print_as_json(const CheckpointInfo& info, std::optional<double> bandwidth) {
  nlohmann::ordered_json out = {{"path", info.path.string()},
                                {"format", info.format},
                                {"architecture", info.architecture},
                                {"parameters", info.parameters},
                                {"config", config_json(info.config)},
                                {"total_bytes", info.total_bytes},
                                {"decoder_bytes", info.decoder_bytes},
                                {"mtp_bytes", info.mtp_bytes},
                                {"weight_bytes_per_token", info.weight_bytes_per_token},
                                {"state_bytes", info.state_bytes},
                                {"kv_bytes_per_token_f32", info.kv_bytes_per_token_f32},
                                {"kv_bytes_per_token_f16", info.kv_bytes_per_token_f16}};
  if (info.tokenizer_size) out["tokenizer_size"] = *info.tokenizer_size;
  if (!info.tokenizer_problem.empty()) out["tokenizer_problem"] = info.tokenizer_problem;
  out["has_chat_template"] = info.has_chat_template;
  if (!info.chat_template_problem.empty()) out["chat_template_problem"] = info.chat_template_problem;
  if (bandwidth) out["read_bytes_per_second"] = *bandwidth;
  out["prediction"] = prediction_json(info, bandwidth);
  out["tensors"] = tensors_json(info.tensors);
  print_json(out);
}

void show(const InspectArguments& arguments) {
  const CheckpointInfo info = inspect(model_path(arguments.model_path));
  const std::optional<double> bandwidth = measured_bandwidth(usable_processors());
  if (arguments.json) {
    print_as_json(info, bandwidth);
    return;
  }
  print_configuration(info);
  print_text("\n");
  print_prediction(info, bandwidth);
  print_text("\n");
  print_tensors(info, arguments.tensors);
}

}  // namespace

void add_inspect(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("inspect", "Show what a model is made of, and how fast it can be here");
  command->footer(kInspectExamples);
  auto arguments = std::make_shared<InspectArguments>();
  add_text(*command, "MODEL", arguments->model_path, "",
           "A model's directory or .gguf file; without it, the model that comes with Lattice");
  command->add_flag("--tensors", arguments->tensors,
                    "List every tensor, rather than one line for all layers");
  command->add_flag("--json", arguments->json, "Print JSON, with every tensor");
  command->callback([arguments] { show(*arguments); });
}

}  // namespace lattice::cli
