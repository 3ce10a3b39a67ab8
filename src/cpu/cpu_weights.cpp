#include "cpu/cpu_weights.h"

namespace lattice::cpu {
namespace {

/// Packs matrices one after the other, all in the same way.
struct Packer {
  bool exact;
  ThreadPool& pool;
  PageArena& arena;

  PackedMatrix operator()(const MatrixView& matrix) const {
    return {std::span(&matrix, 1), exact, pool, arena};
  }
  PackedMatrix in_turn(const MatrixView& first, const MatrixView& second) const {
    const MatrixView parts[] = {first, second};
    return {parts, exact, pool, arena};
  }
};

std::vector<float> taps_first(const std::vector<float>& conv, std::int64_t channels, std::int64_t taps) {
  std::vector<float> out(conv.size());
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t t = 0; t < taps; ++t) {
      out[static_cast<std::size_t>(t * channels + c)] = conv[static_cast<std::size_t>(c * taps + t)];
    }
  }
  return out;
}

CpuLinearMixer pack_mixer(const LinearMixer& mixer, const Config& config, const Packer& pack) {
  return {.qkv = pack(mixer.qkv),
          .z = pack(mixer.z),
          .b = pack(mixer.b),
          .a = pack(mixer.a),
          .out = pack(mixer.out),
          .conv_taps = taps_first(mixer.conv, config.conv_dim(), config.conv_kernel),
          .decay_rate = mixer.decay_rate,
          .dt_bias = mixer.dt_bias,
          .norm = mixer.norm};
}

CpuFullMixer pack_mixer(const FullMixer& mixer, const Config&, const Packer& pack) {
  return {.q = pack(mixer.q),
          .k = pack(mixer.k),
          .v = pack(mixer.v),
          .out = pack(mixer.o),
          .q_norm = mixer.q_norm,
          .k_norm = mixer.k_norm};
}

CpuLayer pack_layer(const Layer& layer, const Config& config, const Packer& pack) {
  using Mixer = std::variant<CpuLinearMixer, CpuFullMixer>;
  return {.mixer_norm = layer.mixer_norm,
          .mixer = std::visit([&](const auto& mixer) -> Mixer { return pack_mixer(mixer, config, pack); },
                              layer.mixer),
          .mlp_norm = layer.mlp_norm,
          .gate_up = pack.in_turn(layer.gate, layer.up),
          .down = pack(layer.down)};
}

CpuMtpHead pack_mtp(const MtpHead& head, const Config& config, const Packer& pack) {
  return {.fc = pack(head.fc),
          .embed_norm = head.embed_norm,
          .hidden_norm = head.hidden_norm,
          .layer = pack_layer(head.layer, config, pack),
          .norm = head.norm};
}

}  // namespace

CpuWeights::CpuWeights(const Config& config, const Weights& weights, bool exact, ThreadPool& pool,
                       const Progress& progress)
    : tied(weights.embed.data == weights.head.data), final_norm(weights.final_norm) {
  PageArena arena;
  const Packer pack{exact, pool, arena};
  const auto total = static_cast<std::int64_t>(weights.layers.size()) + 1;
  const auto report = [&](std::int64_t done) {
    if (progress) progress("repacking weights", done, total);
  };
  report(0);
  for (const Layer& layer : weights.layers) {
    layers.push_back(pack_layer(layer, config, pack));
    report(static_cast<std::int64_t>(layers.size()));
  }
  head = pack(weights.head);
  if (!tied) embed = pack(weights.embed);
  if (weights.mtp) mtp = pack_mtp(*weights.mtp, config, pack);
  report(total);
}

}  // namespace lattice::cpu
