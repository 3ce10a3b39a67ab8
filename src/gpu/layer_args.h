#pragma once

#include <cstdint>

#include "gpu/kernels/kernel_args.h"
#include "model/config.h"

namespace lattice::gpu {

/// Floats of a token's projections: [qkv | z | b | a] of a linear layer, [per head query | gate][k][v] of a
/// full one.
[[nodiscard]] std::int64_t linear_projections(const Config& config) noexcept;
[[nodiscard]] std::int64_t full_projections(const Config& config) noexcept;

/// What attention's kernels are told of the model, in a decode step and in a prompt.
[[nodiscard]] lattice_gpu::AttentionArgs attention_args(const Config& config, std::int64_t capacity,
                                                        std::uint32_t parts) noexcept;

}  // namespace lattice::gpu
