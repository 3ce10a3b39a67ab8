#include "cpu/cpu_weights.h"

namespace lattice::cpu {
namespace {

PackedMatrix pack(const MatrixView& matrix, ThreadPool& pool) {
  return {std::span(&matrix, 1), pool};
}

std::vector<float> taps_first(const std::vector<float>& conv, std::int64_t channels, std::int64_t taps) {
  std::vector<float> out(conv.size());
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t t = 0; t < taps; ++t) {
      out[static_cast<std::size_t>(t * channels + c)] = conv[static_cast<std::size_t>(c * taps + t)];
    }
  }
  return out;
}

CpuLinearMixer pack_mixer(const LinearMixer& mixer, const Config& config, ThreadPool& pool) {
  return {.qkv = pack(mixer.qkv, pool),
          .z = pack(mixer.z, pool),
          .b = pack(mixer.b, pool),
          .a = pack(mixer.a, pool),
          .out = pack(mixer.out, pool),
          .conv_taps = taps_first(mixer.conv, config.conv_dim(), config.conv_kernel),
          .decay_rate = mixer.decay_rate,
          .dt_bias = mixer.dt_bias,
          .norm = mixer.norm};
}

CpuFullMixer pack_mixer(const FullMixer& mixer, const Config&, ThreadPool& pool) {
  return {.q = pack(mixer.q, pool),
          .k = pack(mixer.k, pool),
          .v = pack(mixer.v, pool),
          .out = pack(mixer.o, pool),
          .q_norm = mixer.q_norm,
          .k_norm = mixer.k_norm};
}

CpuLayer pack_layer(const Layer& layer, const Config& config, ThreadPool& pool) {
  using Mixer = std::variant<CpuLinearMixer, CpuFullMixer>;
  const MatrixView gate_up[] = {layer.gate, layer.up};
  return {.mixer_norm = layer.mixer_norm,
          .mixer = std::visit([&](const auto& mixer) -> Mixer { return pack_mixer(mixer, config, pool); },
                              layer.mixer),
          .mlp_norm = layer.mlp_norm,
          .gate_up = PackedMatrix(gate_up, pool),
          .down = pack(layer.down, pool)};
}

}  // namespace

CpuWeights::CpuWeights(const Config& config, const Weights& weights, ThreadPool& pool,
                       const Progress& progress)
    : tied(weights.embed.data == weights.head.data), final_norm(weights.final_norm) {
  const auto total = static_cast<std::int64_t>(weights.layers.size()) + 1;
  const auto report = [&](std::int64_t done) {
    if (progress) progress("repacking weights", done, total);
  };
  report(0);
  for (const Layer& layer : weights.layers) {
    layers.push_back(pack_layer(layer, config, pool));
    report(static_cast<std::int64_t>(layers.size()));
  }
  head = pack(weights.head, pool);
  if (!tied) embed = pack(weights.embed, pool);
  report(total);
}

}  // namespace lattice::cpu
