#include "model/weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "model/config_source.h"
#include "model/tensor_names.h"
#include "model/value_check.h"
#include "support/fail.h"
#include "support/float16.h"
#include "support/printable.h"

namespace lattice {
namespace {

using namespace tensor_names;

using Shape = std::vector<std::int64_t>;

std::string shape_text(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// Finds the tensors of one checkpoint and brings them to the canonical form.
class Binder {
 public:
  Binder(const Checkpoint& checkpoint, const Config& config)
      : checkpoint_(checkpoint),
        config_(config),
        file_(checkpoint.path().string()),
        gguf_(checkpoint.kind() == CheckpointKind::kGguf),
        prefix_(gguf_ ? "" : find_prefix()),
        norms_have_one_(gguf_ || conversion_added_one()) {}

  Weights bind();
  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  /// Those that have been bound, whose values are to be looked at.
  [[nodiscard]] std::span<const NamedMatrix> matrices(Weights::ValueCheck check) const noexcept {
    const std::span<const NamedMatrix> all(matrices_);
    if (check == Weights::ValueCheck::kAll) return all;
    return all.first(check == Weights::ValueCheck::kDecoder ? decoder_matrices_ : 0);
  }

 private:
  [[nodiscard]] std::string find_prefix() const;
  [[nodiscard]] bool conversion_added_one();
  [[nodiscard]] std::string name_of(TensorNames names, std::string_view at) const;
  [[nodiscard]] std::string layer_at(std::int64_t i) const;
  [[nodiscard]] std::optional<std::string> find_mtp() const;
  /// The tensor called `name`, which then counts as one of the weights' sources.
  [[nodiscard]] const Tensor& tensor(const std::string& name);

  MatrixView matrix(const std::string& name, std::int64_t rows, std::int64_t cols);
  [[nodiscard]] MatrixView affine_matrix(const Tensor& packed, std::int64_t rows, std::int64_t cols);
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> affine_parameters(const std::string& path) const;
  [[nodiscard]] DType side_array(const Tensor& side, const Shape& shape) const;

  /// The values of a small float tensor, all finite, whose shape is one of `shapes`.
  [[nodiscard]] std::vector<float> values(const std::string& name, std::initializer_list<Shape> shapes);
  /// The factor of a zero-centred norm: 1 + w.
  [[nodiscard]] std::vector<float> norm(const std::string& name, std::int64_t size);
  [[nodiscard]] std::vector<float> decay_rate(const std::string& name);

  // `at` is what stands before the names of a layer, or of a head.
  Layer layer(const std::string& at, LayerKind kind);
  LinearMixer linear_mixer(const std::string& at);
  FullMixer full_mixer(const std::string& at);
  MtpHead mtp_head(const std::string& at);

  const Checkpoint& checkpoint_;
  const Config& config_;
  std::string file_;
  bool gguf_;
  std::string prefix_;
  std::vector<const Tensor*> sources_;  // before norms_have_one_, which is found by looking at a tensor
  bool norms_have_one_;
  std::vector<NamedMatrix> matrices_;
  std::size_t decoder_matrices_ = 0;  // of these; the head's stand behind
};

std::string Binder::find_prefix() const {
  for (const std::string_view prefix : kDecoderPrefixes) {
    if (checkpoint_.find(std::string(prefix) + std::string(kEmbed.hf))) return std::string(prefix);
  }
  fail("{}: tensor embed_tokens.weight is missing (looked under {})", file_,
       fmt::join(kDecoderPrefixes, ", "));
}

/// MLX's converter turns conv1d.weight from [C, 1, K] into [C, K, 1], and in the same pass adds 1 to the
/// zero-centred norms (ml-explore/mlx-lm mlx_lm/models/qwen3_5.py, sanitize). So the one tells of the other.
bool Binder::conversion_added_one() {
  for (std::int64_t i = 0; i < config_.n_layers(); ++i) {
    if (config_.layers[static_cast<std::size_t>(i)] != LayerKind::kLinear) continue;
    const Shape& shape = tensor(name_of(kConv, layer_at(i))).shape;
    return shape.size() == 3 && shape[2] == 1;
  }
  return checkpoint_.kind() == CheckpointKind::kMlx;
}

std::string Binder::name_of(TensorNames names, std::string_view at) const {
  return fmt::format("{}{}", at, gguf_ ? names.gguf : names.hf);
}

std::string Binder::layer_at(std::int64_t i) const {
  return gguf_ ? gguf_layer_prefix(i) : fmt::format("{}layers.{}.", prefix_, i);
}

/// What stands before the names of the head that guesses ahead, where the checkpoint has any part of one. In
/// GGUF it is the layer behind the decoder's.
std::optional<std::string> Binder::find_mtp() const {
  if (!config_.mtp) return std::nullopt;
  const auto has = [&](std::string_view prefix) {
    return std::ranges::any_of(checkpoint_.tensors(),
                               [&](const Tensor& tensor) { return tensor.name.starts_with(prefix); });
  };
  if (gguf_) {
    std::string block = layer_at(config_.n_layers());
    return has(block) ? std::optional(std::move(block)) : std::nullopt;
  }
  const auto* const prefix = std::ranges::find_if(kMtpPrefixes, has);
  return prefix == std::end(kMtpPrefixes) ? std::nullopt : std::optional<std::string>(*prefix);
}

const Tensor& Binder::tensor(const std::string& name) {
  if (const Tensor* found = checkpoint_.find(name)) {
    sources_.push_back(found);
    return *found;
  }
  fail("{}: tensor {} is missing", file_, name);
}

MatrixView Binder::matrix(const std::string& name, std::int64_t rows, std::int64_t cols) {
  const Tensor& found = tensor(name);
  MatrixView view;
  if (checkpoint_.kind() == CheckpointKind::kMlx && found.type_name == "U32") {
    view = affine_matrix(found, rows, cols);
  } else {
    if (!found.dtype)
      fail("{}: tensor {} is of type {}, which Lattice does not read", file_, name, found.type_name);
    if (found.shape != Shape{rows, cols}) {
      fail("{}: tensor {} is {}, not {}", file_, name, shape_text(found.shape), shape_text({rows, cols}));
    }
    if (cols % block_elements(*found.dtype) != 0) {
      fail("{}: tensor {} has rows of {}, not a multiple of the {} that {} stores together", file_, name,
           cols, block_elements(*found.dtype), found.type_name);
    }
    view.dtype = *found.dtype;
    view.rows = rows;
    view.cols = cols;
    view.data = found.data.data();
  }
  matrices_.push_back({name, view});
  return view;
}

/// A JSON value as a message shows it: short, whatever the file holds.
std::string shown(const nlohmann::json& value) {
  if (value.is_number()) return value.dump();
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  return std::string("of type ") + value.type_name();
}

/// The settings of the matrix at `path` in config.json's "quantization": its own, where it has some, over the
/// common ones.
std::pair<std::int64_t, std::int64_t> Binder::affine_parameters(const std::string& path) const {
  const nlohmann::json* root = checkpoint_.config_json();
  const auto section = [&](const nlohmann::json& object, std::string_view name) -> const nlohmann::json* {
    const auto it = object.find(name);
    return it != object.end() && it->is_object() ? &*it : nullptr;
  };
  const nlohmann::json* common = section(*root, "quantization");
  if (common == nullptr)
    fail("{}/config.json: quantization is missing, but tensor {} is packed", file_, path);
  const nlohmann::json* own = section(*common, path);
  const auto read = [&](std::string_view field, std::initializer_list<std::int64_t> allowed) {
    for (const nlohmann::json* object : {own, common}) {
      if (object == nullptr || !object->contains(field)) continue;
      const nlohmann::json& value = (*object)[std::string(field)];
      for (const std::int64_t candidate : allowed) {
        if (value == candidate) return candidate;
      }
      fail("{}/config.json: quantization{}.{} is {}, not one of {}", file_, object == own ? "." + path : "",
           field, shown(value), fmt::join(allowed, ", "));
    }
    fail("{}/config.json: quantization.{} is missing", file_, field);
  };
  for (const nlohmann::json* object : {own, common}) {
    if (object == nullptr || !object->contains("mode")) continue;
    if ((*object)["mode"] != "affine") {
      fail("{}/config.json: quantization{}.mode is not \"affine\"", file_, object == own ? "." + path : "");
    }
    break;
  }
  return {read("bits", {2, 3, 4, 5, 6, 8}), read("group_size", {32, 64, 128})};
}

DType Binder::side_array(const Tensor& side, const Shape& shape) const {
  if (side.shape != shape)
    fail("{}: tensor {} is {}, not {}", file_, side.name, shape_text(side.shape), shape_text(shape));
  if (side.dtype != DType::kF16 && side.dtype != DType::kBF16 && side.dtype != DType::kF32) {
    fail("{}: tensor {} is of type {}, not F16, BF16 or F32", file_, side.name, side.type_name);
  }
  return *side.dtype;
}

MatrixView Binder::affine_matrix(const Tensor& packed, std::int64_t rows, std::int64_t cols) {
  const std::string path = packed.name.substr(0, packed.name.size() - std::string_view(".weight").size());
  const auto [bits, group_size] = affine_parameters(path);
  if (cols % group_size != 0) {
    fail("{}: tensor {} has rows of {}, not a multiple of its group_size {}", file_, packed.name, cols,
         group_size);
  }
  const Shape words{rows, cols * bits / 32};
  if (packed.shape != words) {
    fail("{}: tensor {} is {}, not the {} that {} bits make of {}", file_, packed.name,
         shape_text(packed.shape), shape_text(words), bits, shape_text({rows, cols}));
  }
  const Shape groups{rows, cols / group_size};
  const Tensor& scales = tensor(path + ".scales");
  const Tensor& biases = tensor(path + ".biases");
  MatrixView view;
  view.dtype = DType::kAffine;
  view.rows = rows;
  view.cols = cols;
  view.data = packed.data.data();
  view.affine.bits = static_cast<int>(bits);
  view.affine.group_size = static_cast<int>(group_size);
  view.affine.scale_type = side_array(scales, groups);
  if (side_array(biases, groups) != view.affine.scale_type) {
    fail("{}: tensor {} is of type {}, but {} of {}", file_, biases.name, biases.type_name, scales.name,
         scales.type_name);
  }
  view.affine.scales = scales.data.data();
  view.affine.biases = biases.data.data();
  return view;
}

float element(const Tensor& tensor, DType dtype, std::size_t i) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, tensor.data.data() + i * sizeof(value), sizeof(value));
    return value;
  }
  std::uint16_t half;
  std::memcpy(&half, tensor.data.data() + i * sizeof(half), sizeof(half));
  return dtype == DType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

std::vector<float> Binder::values(const std::string& name, std::initializer_list<Shape> shapes) {
  const Tensor& found = tensor(name);
  if (std::find(shapes.begin(), shapes.end(), found.shape) == shapes.end()) {
    fail("{}: tensor {} is {}, not {}", file_, name, shape_text(found.shape), shape_text(*shapes.begin()));
  }
  if (found.dtype != DType::kF32 && found.dtype != DType::kF16 && found.dtype != DType::kBF16) {
    fail("{}: tensor {} is of type {}, not F32, F16 or BF16", file_, name, found.type_name);
  }
  const auto count =
      std::accumulate(found.shape.begin(), found.shape.end(), std::int64_t{1}, std::multiplies<>());
  std::vector<float> out(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = element(found, *found.dtype, i);
    if (!std::isfinite(out[i])) fail("{}: tensor {} has a value that is not finite at {}", file_, name, i);
  }
  return out;
}

std::vector<float> Binder::norm(const std::string& name, std::int64_t size) {
  std::vector<float> out = values(name, {{size}});
  if (!norms_have_one_) {
    for (float& w : out) w += 1.0f;
  }
  return out;
}

std::vector<float> Binder::decay_rate(const std::string& name) {
  std::vector<float> out = values(name, {{config_.linear_v_heads}});
  for (std::size_t h = 0; h < out.size(); ++h) {
    if (!gguf_) out[h] = static_cast<float>(-std::exp(static_cast<double>(out[h])));
    // A rate above zero would let the state grow without end.
    if (!std::isfinite(out[h]) || out[h] > 0) {
      fail("{}: tensor {} makes the decay rate {} of head {}, not a finite number of at most 0", file_, name,
           out[h], h);
    }
  }
  return out;
}

LinearMixer Binder::linear_mixer(const std::string& at) {
  const std::int64_t hidden = config_.hidden_size;
  const std::int64_t channels = config_.conv_dim();
  const std::int64_t taps = config_.conv_kernel;
  LinearMixer mixer;
  mixer.qkv = matrix(name_of(kQkv, at), channels, hidden);
  mixer.z = matrix(name_of(kZ, at), config_.linear_v_dim(), hidden);
  mixer.b = matrix(name_of(kB, at), config_.linear_v_heads, hidden);
  mixer.a = matrix(name_of(kA, at), config_.linear_v_heads, hidden);
  mixer.out = matrix(name_of(kOut, at), hidden, config_.linear_v_dim());
  // One layout in memory under three shapes: Hugging Face's (norms without the 1), MLX's, and GGUF's.
  mixer.conv = gguf_             ? values(name_of(kConv, at), {{channels, taps}})
               : norms_have_one_ ? values(name_of(kConv, at), {{channels, taps, 1}})
                                 : values(name_of(kConv, at), {{channels, 1, taps}});
  mixer.decay_rate = decay_rate(name_of(kDecay, at));
  const bool has_suffix = checkpoint_.find(name_of(kDtBias, at)) != nullptr;
  const bool ollama = !has_suffix && checkpoint_.find(name_of(kDtBiasOllama, at)) != nullptr;
  mixer.dt_bias = values(name_of(ollama ? kDtBiasOllama : kDtBias, at), {{config_.linear_v_heads}});
  mixer.norm = values(name_of(kLinearNorm, at), {{config_.linear_head_dim}});
  return mixer;
}

FullMixer Binder::full_mixer(const std::string& at) {
  const std::int64_t hidden = config_.hidden_size;
  FullMixer mixer;
  mixer.q = matrix(name_of(kQ, at), 2 * config_.q_dim(), hidden);
  mixer.k = matrix(name_of(kK, at), config_.kv_dim(), hidden);
  mixer.v = matrix(name_of(kV, at), config_.kv_dim(), hidden);
  mixer.o = matrix(name_of(kO, at), hidden, config_.q_dim());
  mixer.q_norm = norm(name_of(kQNorm, at), config_.head_dim);
  mixer.k_norm = norm(name_of(kKNorm, at), config_.head_dim);
  return mixer;
}

Layer Binder::layer(const std::string& at, LayerKind kind) {
  Layer out;
  out.mixer_norm = norm(name_of(kMixerNorm, at), config_.hidden_size);
  if (kind == LayerKind::kLinear) {
    out.mixer = linear_mixer(at);
  } else {
    out.mixer = full_mixer(at);
  }
  out.mlp_norm = norm(name_of(kMlpNorm, at), config_.hidden_size);
  out.gate = matrix(name_of(kGate, at), config_.intermediate_size, config_.hidden_size);
  out.up = matrix(name_of(kUp, at), config_.intermediate_size, config_.hidden_size);
  out.down = matrix(name_of(kDown, at), config_.hidden_size, config_.intermediate_size);
  return out;
}

MtpHead Binder::mtp_head(const std::string& at) {
  const std::int64_t hidden = config_.hidden_size;
  MtpHead head;
  head.fc = matrix(name_of(kMtpFc, at), hidden, 2 * hidden);
  head.embed_norm = norm(name_of(kMtpEmbedNorm, at), hidden);
  head.hidden_norm = norm(name_of(kMtpHiddenNorm, at), hidden);
  head.layer = layer(gguf_ ? at : at + "layers.0.", LayerKind::kFull);
  head.norm = norm(name_of(kMtpNorm, at), hidden);
  return head;
}

Weights Binder::bind() {
  Weights weights;
  weights.embed = matrix(name_of(kEmbed, prefix_), config_.vocab_size, config_.hidden_size);
  for (std::int64_t i = 0; i < config_.n_layers(); ++i) {
    weights.layers.push_back(layer(layer_at(i), config_.layers[static_cast<std::size_t>(i)]));
  }
  weights.final_norm = norm(name_of(kFinalNorm, prefix_), config_.hidden_size);
  if (config_.tie_word_embeddings) {
    weights.head = weights.embed;
  } else {
    const Tensor* head = gguf_ ? checkpoint_.find(kGgufHead) : find_head(checkpoint_);
    if (head == nullptr) fail("{}: tensor {} is missing", file_, gguf_ ? kGgufHead : "lm_head.weight");
    weights.head = matrix(head->name, config_.vocab_size, config_.hidden_size);
  }
  decoder_matrices_ = matrices_.size();
  if (const std::optional<std::string> at = find_mtp()) weights.mtp = mtp_head(*at);
  std::sort(sources_.begin(), sources_.end());  // the checkpoint keeps its tensors in one array
  sources_.erase(std::unique(sources_.begin(), sources_.end()), sources_.end());
  weights.sources = std::move(sources_);
  return weights;
}

/// Calls `visit` with every matrix and every small tensor of a mixer or a layer.
template <typename Visit>
void visit_parts(const LinearMixer& m, const Visit& visit) {
  for (const MatrixView* matrix : {&m.qkv, &m.z, &m.b, &m.a, &m.out}) visit(*matrix);
  for (const std::vector<float>* values : {&m.conv, &m.decay_rate, &m.dt_bias, &m.norm}) visit(*values);
}

template <typename Visit>
void visit_parts(const FullMixer& m, const Visit& visit) {
  for (const MatrixView* matrix : {&m.q, &m.k, &m.v, &m.o}) visit(*matrix);
  for (const std::vector<float>* values : {&m.q_norm, &m.k_norm}) visit(*values);
}

template <typename Visit>
void visit_parts(const Layer& layer, const Visit& visit) {
  for (const MatrixView* matrix : {&layer.gate, &layer.up, &layer.down}) visit(*matrix);
  for (const std::vector<float>* values : {&layer.mixer_norm, &layer.mlp_norm}) visit(*values);
  std::visit([&](const auto& mixer) { visit_parts(mixer, visit); }, layer.mixer);
}

struct ByteCount {
  std::int64_t& bytes;
  void operator()(const MatrixView& matrix) const { bytes += matrix.total_bytes(); }
  void operator()(const std::vector<float>& values) const {
    bytes += static_cast<std::int64_t>(values.size() * sizeof(float));
  }
};

struct ElementCount {
  std::int64_t& elements;
  void operator()(const MatrixView& matrix) const { elements += matrix.rows * matrix.cols; }
  void operator()(const std::vector<float>& values) const {
    elements += static_cast<std::int64_t>(values.size());
  }
};

}  // namespace

Weights Weights::bind(const Checkpoint& checkpoint, const Config& config, ValueCheck check) {
  Binder binder(checkpoint, config);
  Weights weights = binder.bind();
  weights.mapped = true;
  check_finite(binder.file(), binder.matrices(check));
  return weights;
}

std::int64_t Weights::bytes_per_token() const {
  std::int64_t bytes = 0;
  const ByteCount count{bytes};
  for (const Layer& layer : layers) visit_parts(layer, count);
  count(final_norm);
  count(head);
  return bytes;
}

std::int64_t Weights::parameters() const {
  std::int64_t elements = 0;
  const ElementCount count{elements};
  for (const Layer& layer : layers) visit_parts(layer, count);
  count(final_norm);
  count(embed);
  if (head.data != embed.data) count(head);
  return elements;
}

}  // namespace lattice
