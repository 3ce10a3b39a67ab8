#include "gpu/layer_args.h"

#include <cmath>

#include "gpu/grid.h"

namespace lattice::gpu {

std::int64_t linear_projections(const Config& config) noexcept {
  return config.conv_dim() + config.linear_v_dim() + 2 * config.linear_v_heads;
}

std::int64_t full_projections(const Config& config) noexcept {
  return 2 * config.q_dim() + 2 * config.kv_dim();
}

lattice_gpu::AttentionArgs attention_args(const Config& config, std::int64_t capacity,
                                          std::uint32_t parts) noexcept {
  return {.heads = narrow(config.attention_heads),
          .kv_heads = narrow(config.kv_heads),
          .head_dim = narrow(config.head_dim),
          .capacity = narrow(capacity),
          .k_offset = narrow(2 * config.q_dim()),
          .v_offset = narrow(2 * config.q_dim() + config.kv_dim()),
          .parts = parts,
          .epsilon = static_cast<float>(config.rms_norm_eps),
          .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim))};
}

}  // namespace lattice::gpu
