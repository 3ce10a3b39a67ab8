#pragma once

#include <cstdint>

#include "model/config.h"

namespace lattice {

/// Bytes that decoding the token at position `context` moves, given what its weights take: the weights once,
/// the recurrent state read and written, the keys and values of the tokens before it read, its own written.
/// The numerator of every MBU figure. No product here can overflow (check_config bounds the factors), and a
/// negative `context` counts as 0.
[[nodiscard]] inline std::int64_t bytes_per_token(const Config& config, std::int64_t weight_bytes,
                                                  std::int64_t kv_element_bytes,
                                                  std::int64_t context) noexcept {
  const std::int64_t tokens = context < 0                                ? 0
                              : context > config.max_position_embeddings ? config.max_position_embeddings
                                                                         : context;
  return weight_bytes + 2 * config.state_bytes() + (tokens + 1) * config.kv_bytes_per_token(kv_element_bytes);
}

}  // namespace lattice
