#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpu/kernel_run.h"
#include "support/float16.h"

namespace lattice::gpu {

inline constexpr double kTheta = 1e6;
inline constexpr float kEpsilon = 1e-6f;

/// RMSNorm and rotary embedding of one head.
inline std::vector<double> norm_and_rotate(std::span<const float> in, const std::vector<float>& weight,
                                           std::uint32_t rotary_dim, std::int32_t position) {
  double squares = 0;
  for (const float x : in) squares += double{x} * x;
  const double factor = 1 / std::sqrt(squares / static_cast<double>(in.size()) + kEpsilon);
  std::vector<double> out;
  for (std::size_t i = 0; i < in.size(); ++i) out.push_back(in[i] * factor * weight[i]);
  for (std::size_t i = 0; i < rotary_dim / 2; ++i) {
    const double angle = position * std::pow(kTheta, -2.0 * static_cast<double>(i) / rotary_dim);
    const double x = out[i], y = out[i + rotary_dim / 2];
    out[i] = x * std::cos(angle) - y * std::sin(angle);
    out[i + rotary_dim / 2] = y * std::cos(angle) + x * std::sin(angle);
  }
  return out;
}

inline std::vector<float> rounded(std::vector<float> values, bool half) {
  if (half) {
    for (float& x : values) x = f16_to_f32(f32_to_f16(x));
  }
  return values;
}

inline std::unique_ptr<Buffer> upload_cache(Device& device, const std::vector<float>& values, bool half) {
  if (!half) return upload(device, values);
  std::vector<std::uint16_t> bits;
  for (const float x : values) bits.push_back(f32_to_f16(x));
  return upload(device, bits);
}

inline std::vector<float> download_cache(const Buffer& buffer, bool half) {
  if (!half) return download(buffer);
  std::vector<std::uint16_t> bits(buffer.bytes() / sizeof(std::uint16_t));
  buffer.download<std::uint16_t>(bits);
  std::vector<float> out;
  for (const std::uint16_t x : bits) out.push_back(f16_to_f32(x));
  return out;
}

}  // namespace lattice::gpu
