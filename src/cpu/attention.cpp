#include "cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/cache_lines.h"

namespace lattice::cpu {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr std::uint16_t kNaN = 0x7e00;  // in binary16

constexpr bool is_infinite(std::uint16_t half) {
  return (half & 0x7fffu) == 0x7c00u;
}

}  // namespace

/// RMSNorm with weight 1 + w, then the rotation of the leading rotary_dim dimensions, whose pairs stand
/// rotary_dim / 2 apart.
void AttentionPass::norm_and_rotate(const float* in, const std::vector<float>& weight, std::int64_t token,
                                    float* out) const {
  const std::int64_t d = config_.head_dim;
  const float mean = kernels_.dot(in, in, d) / static_cast<float>(d);
  const float norm = 1.0f / std::sqrt(mean + static_cast<float>(config_.rms_norm_eps));
  for (std::int64_t i = 0; i < d; ++i) out[i] = in[i] * norm * weight[static_cast<std::size_t>(i)];
  const std::int64_t pairs = config_.rotary_dim / 2;
  const float* cosines = in_.angles + token * config_.rotary_dim;
  const float* sines = cosines + pairs;
  for (std::int64_t i = 0; i < pairs; ++i) {
    const float low = out[i];
    const float high = out[pairs + i];
    out[i] = low * cosines[i] - high * sines[i];
    out[pairs + i] = high * cosines[i] + low * sines[i];
  }
}

void AttentionPass::load_query(std::int64_t head, std::int64_t token, float* out) const {
  norm_and_rotate(in_.q + token * in_.stride + head * 2 * config_.head_dim, weights_.q_norm, token, out);
}

/// What binary16 cannot hold becomes NaN and not infinity: an infinite key may get a weight of 0, and nobody
/// would notice.
void AttentionPass::store(AlignedMemory const& memory, std::int64_t kv_head, std::int64_t position,
                          const float* row) const {
  const std::int64_t offset = cache_offset(kv_head, position);
  if (kv_ == KvFormat::kF16) {
    auto* halves = memory.as<std::uint16_t>() + offset;
    kernels_.to_f16(row, halves, config_.head_dim);
    std::replace_if(halves, halves + config_.head_dim, is_infinite, kNaN);
  } else {
    std::copy_n(row, config_.head_dim, memory.as<float>() + offset);
  }
}

void AttentionPass::append_head(std::int64_t kv_head, std::int64_t token, float* scratch) const {
  const std::int64_t column = token * in_.stride + kv_head * config_.head_dim;
  norm_and_rotate(in_.k + column, weights_.k_norm, token, scratch);
  store(memory_.keys, kv_head, position_ + token, scratch);
  store(memory_.values, kv_head, position_ + token, in_.v + column);
}

void AttentionPass::append(std::int64_t token, ThreadScratch& scratch) const {
  for (std::int64_t h = 0; h < config_.kv_heads; ++h) append_head(h, token, scratch.attention.data());
}

/// scores [group, keys] of the cache's rows from `offset` on.
void AttentionPass::score_keys(std::int64_t offset, std::int64_t keys, const float* queries,
                               float* scores) const {
  const std::int64_t d = config_.head_dim;
  if (kv_ == KvFormat::kF16) {
    const auto* rows = memory_.keys.as<std::uint16_t>() + offset;
    kernels_.score_keys_f16(queries, group(), rows, keys, d, scores, keys);
  } else {
    kernels_.score_keys(queries, group(), memory_.keys.as<float>() + offset, keys, d, scores, keys);
  }
}

/// out [group, d] += weights [group, keys] · the cache's rows from `offset` on.
void AttentionPass::add_values(std::int64_t offset, std::int64_t keys, const float* weights,
                               float* out) const {
  const std::int64_t d = config_.head_dim;
  if (kv_ == KvFormat::kF16) {
    const auto* rows = memory_.values.as<std::uint16_t>() + offset;
    kernels_.add_values_f16(weights, keys, group(), rows, keys, d, out);
  } else {
    kernels_.add_values(weights, keys, group(), memory_.values.as<float>() + offset, keys, d, out);
  }
}

/// The rows of a head from `offset` on: where they are, or converted to room [kKeyBlock, d].
const float* AttentionPass::rows_at(const AlignedMemory& memory, std::int64_t offset, std::int64_t rows,
                                    float* room) const {
  if (kv_ != KvFormat::kF16) return memory.as<float>() + offset;
  kernels_.from_f16(memory.as<std::uint16_t>() + offset, room, rows * config_.head_dim);
  return room;
}

/// Asks for what rows_at() will give, so that it is in the second-level cache when a product packs it: other
/// blocks of queries have met it, but long ago.
void AttentionPass::ask_for(const AlignedMemory& memory, std::int64_t offset, std::int64_t rows) const {
  const std::int64_t element = kv_ == KvFormat::kF16 ? sizeof(std::uint16_t) : sizeof(float);
  ask_for_lines(memory.as<std::byte>() + offset * element, rows * config_.head_dim * element);
}

/// out = values · factor · sigmoid(gate), for one head of one token. values may be there already. Uses
/// room [d].
void AttentionPass::gate_and_store(std::int64_t head, std::int64_t token, const float* values, float factor,
                                   float* room) const {
  const std::int64_t d = config_.head_dim;
  std::copy_n(in_.q + token * in_.stride + (head * 2 + 1) * d, d, room);
  kernels_.exp_sum(room, -1.0f, 0.0f, d);
  float* out = out_ + token * config_.q_dim() + head * d;
  for (std::int64_t i = 0; i < d; ++i) out[i] = values[i] * factor / (1.0f + room[i]);
}

std::int64_t AttentionPass::parts(std::int64_t token) const noexcept {
  return std::clamp<std::int64_t>((position_ + token + kMinKeysPerPart) / kMinKeysPerPart, 1, kMaxKeyParts);
}

/// Partial results are, for each head and part, the unnormalised outputs and then the scores' maximum and the
/// sum of weights.
void AttentionPass::part(std::int64_t kv_head, std::int64_t token, std::int64_t part, ThreadScratch& scratch,
                         float* partial) const {
  const std::int64_t d = config_.head_dim;
  const std::int64_t all_parts = parts(token);
  const std::int64_t visible = position_ + token + 1;
  const std::int64_t first = visible * part / all_parts;
  const std::int64_t keys = visible * (part + 1) / all_parts - first;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  float* queries = scratch.attention.data();  // [group, d]
  float* scores = queries + group() * d;      // [group, keys]
  if (tokens_ == 1 && part == all_parts - 1) append_head(kv_head, 0, queries);
  for (std::int64_t h = 0; h < group(); ++h) load_query(kv_head * group() + h, token, queries + h * d);

  const std::int64_t offset = cache_offset(kv_head, first);
  score_keys(offset, keys, queries, scores);
  const auto output = [&](std::int64_t h) {
    return partial + partial_offset(kv_head * group() + h, token) + part * (d + 2);
  };
  for (std::int64_t h = 0; h < group(); ++h) {
    float* own = scores + h * keys;
    const float maximum = kernels_.largest(own, keys) * scale;
    output(h)[d] = maximum;
    output(h)[d + 1] = kernels_.exp_sum(own, scale, maximum, keys);
  }
  float* outputs = queries;  // [group, d]: in place of the queries, which have met their keys
  std::fill(outputs, outputs + group() * d, 0.0f);
  add_values(offset, keys, scores, outputs);
  for (std::int64_t h = 0; h < group(); ++h) std::copy_n(outputs + h * d, d, output(h));
}

void AttentionPass::merge(std::int64_t head, std::int64_t token, ThreadScratch& scratch,
                          const float* partial) const {
  const std::int64_t d = config_.head_dim;
  const std::int64_t all_parts = parts(token);
  const float* first = partial + partial_offset(head, token);
  float maximum = kMinusInfinity;
  for (std::int64_t p = 0; p < all_parts; ++p) maximum = std::max(maximum, first[p * (d + 2) + d]);
  float* out = out_ + token * config_.q_dim() + head * d;
  std::fill(out, out + d, 0.0f);
  float total = 0.0f;
  for (std::int64_t p = 0; p < all_parts; ++p) {
    const float* values = first + p * (d + 2);
    const float weight = std::exp(values[d] - maximum);
    total += weight * values[d + 1];
    kernels_.axpy(weight, values, out, d);
  }
  gate_and_store(head, token, out, 1.0f / total, scratch.attention.data());
}

/// Turns a block of raw scores [rows, kKeyBlock] into weights, under the causal mask. keep: what the rows
/// have summed so far is to be multiplied with. Row r belongs to token first_token + r / group().
void AttentionPass::softmax_block(float* scores, std::int64_t rows, std::int64_t first_token,
                                  std::int64_t first_key, std::int64_t keys, float* maxima, float* totals,
                                  float* keep) const {
  const float scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim));
  for (std::int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * kKeyBlock;
    const std::int64_t visible =
        std::clamp<std::int64_t>(position_ + first_token + r / group() + 1 - first_key, 0, keys);
    keep[r] = 1.0f;
    if (visible > 0) {
      const float maximum = std::max(maxima[r], kernels_.largest(row, visible) * scale);
      keep[r] = std::exp(maxima[r] - maximum);  // 0 for the first block, whose old maximum is −∞
      totals[r] = totals[r] * keep[r] + kernels_.exp_sum(row, scale, maximum, visible);
      maxima[r] = maximum;
    }
    std::fill(row + visible, row + keys, 0.0f);
  }
}

void AttentionPass::block(std::int64_t kv_head, std::int64_t first_token, ThreadScratch& scratch) const {
  const std::int64_t d = config_.head_dim;
  const std::int64_t tokens = std::min(kQueryBlock, tokens_ - first_token);
  const std::int64_t rows = tokens * group();
  const std::int64_t max_rows = kQueryBlock * group();
  float* queries = scratch.attention.data();      // [rows, d]
  float* outputs = queries + max_rows * d;        // [rows, d]
  float* scores = outputs + max_rows * d;         // [rows, kKeyBlock]
  float* maxima = scores + max_rows * kKeyBlock;  // [rows]
  float* totals = maxima + max_rows;              // [rows]
  float* keep = totals + max_rows;                // [rows]
  float* room = keep + max_rows;                  // [kKeyBlock, d]

  for (std::int64_t r = 0; r < rows; ++r) {
    load_query(kv_head * group() + r % group(), first_token + r / group(), queries + r * d);
  }
  std::fill(outputs, outputs + rows * d, 0.0f);
  std::fill(maxima, maxima + rows, kMinusInfinity);
  std::fill(totals, totals + rows, 0.0f);

  const std::int64_t visible =
      position_ + first_token + tokens;  // keys that the last token of the block may see
  for (std::int64_t first_key = 0; first_key < visible; first_key += kKeyBlock) {
    const std::int64_t keys = std::min(kKeyBlock, visible - first_key);
    const std::int64_t offset = cache_offset(kv_head, first_key);
    ask_for(memory_.values, offset, keys);
    kernels_.matmul({.a = {queries, d},
                     .b = {rows_at(memory_.keys, offset, keys, room), 1, d},
                     .c = scores,
                     .c_stride = kKeyBlock,
                     .m = rows,
                     .n = keys,
                     .k = d});
    softmax_block(scores, rows, first_token, first_key, keys, maxima, totals, keep);
    ask_for(memory_.keys, offset + keys * d, std::min(kKeyBlock, visible - first_key - keys));
    kernels_.matmul({.a = {scores, kKeyBlock},
                     .b = {rows_at(memory_.values, offset, keys, room), d},
                     .c = outputs,
                     .c_stride = d,
                     .m = rows,
                     .n = d,
                     .k = keys,
                     .keep = keep});
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    gate_and_store(kv_head * group() + r % group(), first_token + r / group(), outputs + r * d,
                   1.0f / totals[r], room);
  }
}

}  // namespace lattice::cpu
