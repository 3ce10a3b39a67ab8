#include "convert/tensor_plan.h"

#include <utility>

#include "model/tensor_names.h"

namespace lattice {
namespace {

using namespace tensor_names;

class Planner {
 public:
  Planner(const Config& config, const TypeChoice& types) : config_(config), types_(types) {}

  std::vector<PlannedTensor> plan(const Weights& weights) {
    const bool tied = config_.tie_word_embeddings;
    matrix(std::string(kEmbed.gguf), weights.embed, tied ? types_.head : types_.matrices);
    for (const Layer& layer : weights.layers) {
      add(layer);
      ++layer_;
    }
    if (weights.mtp) add(*weights.mtp);
    vector(std::string(kFinalNorm.gguf), weights.final_norm);
    if (!tied) matrix(std::string(kGgufHead), weights.head, types_.head);
    return std::move(tensors_);
  }

 private:
  void add(const Layer& layer) {
    layer_vector(kMixerNorm, layer.mixer_norm);
    std::visit([this](const auto& mixer) { add(mixer); }, layer.mixer);
    layer_vector(kMlpNorm, layer.mlp_norm);
    layer_matrix(kGate, layer.gate);
    layer_matrix(kUp, layer.up);
    layer_matrix(kDown, layer.down);
  }

  /// The head that guesses ahead stands behind the decoder's layers, as one more.
  void add(const MtpHead& head) {
    layer_matrix(kMtpFc, head.fc);
    layer_vector(kMtpEmbedNorm, head.embed_norm);
    layer_vector(kMtpHiddenNorm, head.hidden_norm);
    add(head.layer);
    layer_vector(kMtpNorm, head.norm);
  }

  void add(const LinearMixer& mixer) {
    const std::int64_t head_dim = config_.linear_head_dim;
    const PartOrder channels = conv_channels();
    layer_matrix(kQkv, mixer.qkv, channels);
    layer_matrix(kZ, mixer.z, v_heads(head_dim));
    layer_matrix(kB, mixer.b, v_heads(1));
    layer_matrix(kA, mixer.a, v_heads(1));
    layer_matrix(kOut, mixer.out, {}, v_heads(head_dim));
    const std::int64_t taps = config_.conv_kernel;
    tensors_.push_back({gguf_layer_name(kConv, layer_),
                        {config_.conv_dim(), taps},
                        DType::kF32,
                        DType::kF32,
                        reordered(mixer.conv, {channels.unit * taps, channels.source})});
    layer_vector(kDecay, reordered(mixer.decay_rate, v_heads(1)));
    layer_vector(kDtBias, reordered(mixer.dt_bias, v_heads(1)));
    layer_vector(kLinearNorm, mixer.norm);
  }

  void add(const FullMixer& mixer) {
    layer_matrix(kQ, mixer.q);
    layer_matrix(kK, mixer.k);
    layer_matrix(kV, mixer.v);
    layer_matrix(kO, mixer.o);
    layer_vector(kQNorm, mixer.q_norm);
    layer_vector(kKNorm, mixer.k_norm);
  }

  /// The V heads, `unit` rows or columns each, in tiled order: place h is filled by the h / Hk-th V head of K
  /// head h % Hk.
  [[nodiscard]] PartOrder v_heads(std::int64_t unit) const {
    PartOrder order{unit, {}};
    const std::int64_t ratio = config_.linear_v_heads / config_.linear_k_heads;
    if (config_.v_head_order == VHeadOrder::kTiled || ratio == 1 || config_.linear_k_heads == 1) return order;
    for (std::int64_t h = 0; h < config_.linear_v_heads; ++h) {
      order.source.push_back(h % config_.linear_k_heads * ratio + h / config_.linear_k_heads);
    }
    return order;
  }

  /// The channels of the convolution: the heads of q and k stay, those of v are reordered. (K and V heads
  /// have one size.)
  [[nodiscard]] PartOrder conv_channels() const {
    PartOrder order = v_heads(config_.linear_head_dim);
    if (order.source.empty()) return order;
    const std::int64_t qk_heads = 2 * config_.linear_k_heads;
    std::vector<std::int64_t> source;
    for (std::int64_t h = 0; h < qk_heads; ++h) source.push_back(h);
    for (const std::int64_t h : order.source) source.push_back(qk_heads + h);
    order.source = std::move(source);
    return order;
  }

  static std::vector<float> reordered(const std::vector<float>& values, const PartOrder& order) {
    std::vector<float> out(values.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = values[static_cast<std::size_t>(order.source_of(static_cast<std::int64_t>(i)))];
    }
    return out;
  }

  void layer_matrix(TensorNames names, const MatrixView& source, PartOrder rows = {}, PartOrder cols = {}) {
    matrix(gguf_layer_name(names, layer_), source, types_.matrices, std::move(rows), std::move(cols));
  }

  void layer_vector(TensorNames names, std::vector<float> values) {
    vector(gguf_layer_name(names, layer_), std::move(values));
  }

  void matrix(std::string name, const MatrixView& source, DType type, PartOrder rows = {},
              PartOrder cols = {}) {
    const DType possible = source.cols % block_elements(type) == 0 ? type : DType::kF16;
    tensors_.push_back({std::move(name),
                        {source.rows, source.cols},
                        possible,
                        type,
                        PlannedMatrix{source, std::move(rows), std::move(cols)}});
  }

  void vector(std::string name, std::vector<float> values) {
    const auto size = static_cast<std::int64_t>(values.size());
    tensors_.push_back({std::move(name), {size}, DType::kF32, DType::kF32, std::move(values)});
  }

  const Config& config_;
  TypeChoice types_;
  std::int64_t layer_ = 0;
  std::vector<PlannedTensor> tensors_;
};

}  // namespace

std::vector<PlannedTensor> plan_tensors(const Config& config, const Weights& weights,
                                        const TypeChoice& types) {
  return Planner(config, types).plan(weights);
}

}  // namespace lattice
