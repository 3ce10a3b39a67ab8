#include "gpu/gpu_weights.h"

#include <algorithm>
#include <cmath>

namespace lattice::gpu {
namespace {

/// |x| ≤ √n · RMS(x) for each of n numbers, so this is what no element of an RMSNorm exceeds.
float norm_bound(const std::vector<float>& weight) {
  float largest = 0;
  for (const float w : weight) largest = std::max(largest, std::abs(w));
  return largest * std::sqrt(static_cast<float>(weight.size()));
}

std::vector<float> taps_first(const std::vector<float>& conv, std::size_t taps) {
  const std::size_t channels = conv.size() / taps;
  std::vector<float> out(conv.size());
  for (std::size_t i = 0; i < conv.size(); ++i) out[i % taps * channels + i / taps] = conv[i];
  return out;
}

GpuLinearMixer load(const LinearMixer& mixer, const Config& config, const MatrixPacker& pack) {
  const MatrixView parts[] = {mixer.qkv, mixer.z, mixer.b, mixer.a};
  return {.in = pack.stacked(parts),
          .out = pack.one(mixer.out),
          .taps = upload_vector(pack.device,
                                taps_first(mixer.conv, static_cast<std::size_t>(config.conv_kernel))),
          .decay_rate = upload_vector(pack.device, mixer.decay_rate),
          .dt_bias = upload_vector(pack.device, mixer.dt_bias),
          .norm = upload_vector(pack.device, mixer.norm)};
}

GpuFullMixer load(const FullMixer& mixer, const Config&, const MatrixPacker& pack) {
  const MatrixView parts[] = {mixer.q, mixer.k, mixer.v};
  return {.in = pack.stacked(parts),
          .out = pack.one(mixer.o),
          .q_norm = upload_vector(pack.device, mixer.q_norm),
          .k_norm = upload_vector(pack.device, mixer.k_norm)};
}

GpuLayer load(const Layer& layer, const Config& config, const MatrixPacker& pack) {
  using Mixer = std::variant<GpuLinearMixer, GpuFullMixer>;
  const MatrixView gate_up[] = {layer.gate, layer.up};
  return {
      .mixer_norm = upload_vector(pack.device, layer.mixer_norm),
      .mixer = std::visit([&](const auto& mixer) -> Mixer { return load(mixer, config, pack); }, layer.mixer),
      .mlp_norm = upload_vector(pack.device, layer.mlp_norm),
      .gate_up = pack.in_turn(gate_up),
      .down = pack.one(layer.down),
      .mixer_norm_bound = norm_bound(layer.mixer_norm),
      .mlp_norm_bound = norm_bound(layer.mlp_norm)};
}

}  // namespace

std::vector<const DeviceMatrix*> GpuLayer::in_matrices() const {
  std::vector<const DeviceMatrix*> out;
  std::visit(
      [&](const auto& own) {
        for (const DeviceMatrix& matrix : own.in) out.push_back(&matrix);
      },
      mixer);
  return out;
}

const DeviceMatrix& GpuLayer::out_matrix() const {
  return std::visit([](const auto& own) -> const DeviceMatrix& { return own.out; }, mixer);
}

std::unique_ptr<Buffer> upload_vector(Device& device, const std::vector<float>& values) {
  auto out = device.allocate(padded_floats(static_cast<std::int64_t>(values.size())) * sizeof(float));
  out->upload<float>(values);
  return out;
}

GpuWeights::GpuWeights(const MatrixPacker& pack, const Config& config, const Weights& weights,
                       const Progress& progress)
    : tied(weights.embed.data == weights.head.data),
      final_norm(upload_vector(pack.device, weights.final_norm)) {
  const auto total = static_cast<std::int64_t>(weights.layers.size()) + 1;
  const auto report = [&](std::int64_t done) {
    if (progress) progress("repacking weights", done, total);
  };
  report(0);
  for (const Layer& layer : weights.layers) {
    layers.push_back(load(layer, config, pack));
    report(static_cast<std::int64_t>(layers.size()));
  }
  head = pack.one(weights.head);
  if (!tied) embed = pack.one(weights.embed);
  report(total);
}

}  // namespace lattice::gpu
