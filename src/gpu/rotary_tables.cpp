#include "gpu/rotary_tables.h"

#include <cmath>

namespace lattice::gpu {
namespace {

constexpr std::int64_t kLowPositions = 256;  // as kernels/attention.h has it

std::vector<float> rows(const Config& config, std::int64_t count, std::int64_t stride) {
  const std::int64_t pairs = config.rotary_dim / 2;
  std::vector<float> out;
  out.reserve(static_cast<std::size_t>(count * pairs * 2));
  for (std::int64_t row = 0; row < count; ++row) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.rotary_dim);
      const double angle = static_cast<double>(row * stride) * std::pow(config.rope_theta, exponent);
      out.push_back(static_cast<float>(std::cos(angle)));
      out.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return out;
}

}  // namespace

RotaryTables::RotaryTables(const Config& config)
    : low(rows(config, kLowPositions, 1)),
      high(rows(config, (config.max_position_embeddings + kLowPositions - 1) / kLowPositions,
                kLowPositions)) {}

}  // namespace lattice::gpu
