#include "gpu/attention_decode.h"

#include <algorithm>
#include <bit>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"

namespace lattice::gpu {
namespace {

constexpr std::int64_t kSpanDims = 64;  // see kernels/attention_halves.metal
constexpr std::uint32_t kMostQueries = 4;

}  // namespace

KeySharing KeySharing::of(std::uint32_t cores, std::int64_t kv_heads, bool products) noexcept {
  if (cores == 0) return {};
  const std::uint32_t heads = std::max(1u, narrow(kv_heads));
  if (products) return {std::bit_floor(std::max(1u, cores / heads)), /*keys=*/64};
  return {std::bit_floor(std::max(1u, 2 * cores / heads)), /*keys=*/32};
}

std::uint32_t KeySharing::parts(std::int64_t position) const noexcept {
  constexpr std::int64_t kFewParts = 16;  // to merge more takes longer than twice as many keys each
  if (position < 2 * keys) return 1;
  const std::int64_t wanted = std::max(std::min(position / keys + 1, kFewParts), position / (2 * keys) + 1);
  // Powers of two, so that few different steps are recorded as a sequence grows.
  return std::min(most_parts, std::bit_ceil(narrow(std::min<std::int64_t>(wanted, most_parts))));
}

/// Simdgroups: on a device, enough that a core has its share of keys in flight.
AttentionDecode AttentionDecode::of(const Device& device, const Config& config, KvFormat kv) {
  const std::uint32_t cores = device.cores();
  const std::uint32_t simdgroups = cores == 0 ? 4 : 8;
  const auto sharing = [&](bool products) { return KeySharing::of(cores, config.kv_heads, products); };
  const std::uint32_t group = narrow(config.attention_heads / config.kv_heads);
  if (kv == KvFormat::kF32) return {"attention_decode_f32", group, false, simdgroups, sharing(false)};
  if (!device.multiplies_halves() || config.head_dim % kSpanDims != 0) {
    return {"attention_decode_f16", group, false, simdgroups, sharing(false)};
  }
  return {"attention_decode_halves", group, true, simdgroups, sharing(true)};
}

/// One where keys are too few for parts: each threadgroup reads them all, which costs little, and has a query
/// to itself.
std::uint32_t AttentionDecode::queries(std::uint32_t parts) const noexcept {
  if (!shares_queries) return group;
  const bool few_keys = parts == 1 && sharing.most_parts > 1;
  return few_keys ? 1 : std::min(kMostQueries, group);
}
std::uint32_t AttentionDecode::query_sets(std::uint32_t parts) const noexcept {
  return ceil_div(group, queries(parts));
}

std::vector<FunctionConstant> AttentionDecode::constants(std::span<const FunctionConstant> common,
                                                         std::uint32_t parts) const {
  std::vector<FunctionConstant> out(common.begin(), common.end());
  if (shares_queries) out.push_back({LATTICE_FC_QUERIES, queries(parts)});
  return out;
}

}  // namespace lattice::gpu
