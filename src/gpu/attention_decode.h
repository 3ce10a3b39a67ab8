#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gpu/device.h"
#include "model/backend.h"
#include "model/config.h"

namespace lattice::gpu {

/// How the threadgroups of a step's attention share out the keys of a KV head.
struct KeySharing {
  std::uint32_t most_parts = 32;  ///< a power of two; beyond it, parts grow
  std::int64_t keys = 128;        ///< of a part where there are few parts; otherwise twice as many

  /// What a device of so many cores (Device::cores()) wants for a model of so many KV heads. `products`: for
  /// attention_decode_halves, which takes few keys as fast as one.
  [[nodiscard]] static KeySharing of(std::uint32_t cores, std::int64_t kv_heads, bool products) noexcept;
  /// Threadgroups for a step at `position`.
  [[nodiscard]] std::uint32_t parts(std::int64_t position) const noexcept;
};

/// The kernel of a step's attention, and its threadgroups: (parts, kv_heads · query_sets(parts)).
struct AttentionDecode {
  std::string kernel;
  std::uint32_t group = 1;       ///< query heads of a KV head
  bool shares_queries = false;   ///< whether a threadgroup may take a part of them
  std::uint32_t simdgroups = 4;  ///< of a threadgroup
  KeySharing sharing;

  /// Query heads that a threadgroup takes, where keys have so many parts.
  [[nodiscard]] std::uint32_t queries(std::uint32_t parts) const noexcept;
  [[nodiscard]] std::uint32_t query_sets(std::uint32_t parts) const noexcept;
  /// The kernel's, of those that it has in common with attention_merge.
  [[nodiscard]] std::vector<FunctionConstant> constants(std::span<const FunctionConstant> common,
                                                        std::uint32_t parts) const;

  [[nodiscard]] static AttentionDecode of(const Device& device, const Config& config, KvFormat kv);
};

}  // namespace lattice::gpu
