#include "cpu/workspace.h"

#include <algorithm>

namespace lattice::cpu {
namespace {

std::int64_t widest_input(const Config& config, bool with_mtp) {
  const std::int64_t hidden = config.hidden_size * (with_mtp ? 2 : 1);
  return std::max({hidden, config.intermediate_size, config.linear_v_dim(), config.q_dim()});
}

std::int64_t projected_stride(const Config& config) {
  // Each part is written in whole groups of rows.
  const auto part = [](std::int64_t rows) { return round_up(rows, kGroupRows); };
  const std::int64_t linear =
      part(config.conv_dim()) + part(config.linear_v_dim()) + 2 * part(config.linear_v_heads);
  const std::int64_t full = part(2 * config.q_dim()) + 2 * part(config.kv_dim());
  return std::max({linear, full, part(config.hidden_size)});
}

std::size_t floats(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

}  // namespace

PreparedVectors::PreparedVectors(std::int64_t count, std::int64_t max_cols, const Kernels& kernels)
    : kernels_(kernels),
      blocks_(round_up(max_cols, kBlock) / kBlock),
      values_(floats(count * blocks_ * kBlock)),
      quants_(floats(count * blocks_ * kBlock)),
      scales_(floats(count * blocks_)),
      totals_(floats(count * blocks_)),
      halves_(floats(count * blocks_)),
      views_(floats(count)) {
  const PromptForms wanted = count > kStepTokens ? kernels.prompt_forms : PromptForms{};
  const std::size_t widened = floats(round_up(count, kInterleaved) * blocks_ * kBlock);
  if (wanted.turned) turned_.resize(widened);
  if (wanted.wide) wide_.resize(widened);
  if (wanted.turned) inputs_.resize(scales_.size());
  const std::int64_t tiled = round_up(count, kTileTokens) * blocks_;
  if (wanted.tiles) {
    tile_quants_.resize(floats(tiled * kBlock));
    tile_scales_.resize(floats(tiled));
    tile_inputs_.resize(floats(tiled));
  }
  if (count > kStepTokens && kernels.split != nullptr) parts_.resize(floats(2 * tiled * kBlock));
  for (std::int64_t i = 0; i < count; ++i) {
    views_[floats(i)] = {.values = values_.data() + i * blocks_ * kBlock,
                         .quants = quants_.data() + i * blocks_ * kBlock,
                         .scales = scales_.data() + i * blocks_,
                         .totals = totals_.data() + i * blocks_,
                         .halves = halves_.data() + i * blocks_};
    const WidenedVector forms = widened_vector(i);
    views_[floats(i)].turned = forms.turned;
    views_[floats(i)].wide = forms.wide;
    views_[floats(i)].inputs = forms.inputs;
    views_[floats(i)].tile_quants = forms.tile_quants;
    views_[floats(i)].tile_scales = forms.tile_scales;
    views_[floats(i)].tile_inputs = forms.tile_inputs;
    if (!parts_.empty()) views_[floats(i)].parts = parts_.data() + in_tiles(i, kBlock, 2 * kBlock);
  }
}

float* PreparedVectors::values(std::int64_t index, std::int64_t cols) {
  float* values = values_.data() + index * blocks_ * kBlock;
  std::fill(values + cols, values + round_up(cols, kBlock), 0.0f);
  return values;
}

WidenedVector PreparedVectors::widened_vector(std::int64_t index) noexcept {
  const auto at = [](auto& all, std::int64_t offset) { return all.empty() ? nullptr : all.data() + offset; };
  return {.turned = at(turned_, interleaved(index)),
          .wide = at(wide_, interleaved(index)),
          .inputs = at(inputs_, index * blocks_),
          .tile_quants = at(tile_quants_, in_tiles(index, kBlock, kBlock)),
          .tile_scales = at(tile_scales_, in_tiles(index, 1, 1)),
          .tile_inputs = at(tile_inputs_, in_tiles(index, 1, 1))};
}

void PreparedVectors::quantise(std::int64_t index, std::int64_t cols) {
  const std::int64_t first = index * blocks_;
  const std::int64_t blocks = round_up(cols, kBlock) / kBlock;
  kernels_.quantize(values_.data() + first * kBlock, blocks, quants_.data() + first * kBlock,
                    scales_.data() + first, totals_.data() + first, halves_.data() + first);
}

void PreparedVectors::widen(std::int64_t index, std::int64_t cols) {
  if (inputs_.empty()) return;
  kernels_.widen((*this)[index], round_up(cols, kBlock) / kBlock, widened_vector(index));
}

void PreparedVectors::split(std::int64_t index, std::int64_t cols) {
  if (parts_.empty()) return;
  kernels_.split(values_.data() + index * blocks_ * kBlock, round_up(cols, kBlock) / kBlock,
                 parts_.data() + in_tiles(index, kBlock, 2 * kBlock));
}

ThreadScratch::ThreadScratch(const Config& config, bool with_mtp, const Kernels& kernels)
    : input(1, widest_input(config, with_mtp), kernels) {
  const std::int64_t d = config.linear_head_dim;
  head.resize(floats(4 * d));
  // See LinearMixerPass::chunk(): q and k, v, what is read of the state; scores; gates and decays; the
  // state's decay; and the convolution's taps.
  const std::int64_t chunked = kChunk * d * 5 + 2 * kChunk * kChunk + 3 * kChunk + d + config.conv_kernel * d;
  chunk.resize(floats(std::max(chunked, d * d)));
  const std::int64_t group = config.attention_heads / std::max<std::int64_t>(config.kv_heads, 1);
  const std::int64_t rows = kQueryBlock * group;
  // See AttentionPass::block(): queries and outputs, scores, three numbers a row; keys or values as floats.
  const std::int64_t prefill = rows * (2 * config.head_dim + kKeyBlock + 3) + kKeyBlock * config.head_dim;
  const std::int64_t keys_per_part =
      std::max<std::int64_t>(config.max_position_embeddings / kMaxKeyParts + 1, kMinKeysPerPart);
  attention.resize(floats(std::max(prefill, group * (config.head_dim + keys_per_part))));
}

Workspace::Workspace(const Config& config, int thread_count, bool with_mtp, const Kernels& kernels)
    : hidden(floats(kBatch * config.hidden_size)),
      prepared(kBatch, widest_input(config, with_mtp), kernels),
      stride(projected_stride(config)),
      projected(floats(kBatch * stride)),
      angles(floats(kBatch * config.rotary_dim)),
      mixed(floats(kBatch * std::max(config.linear_v_dim(), config.q_dim()))),
      gate_up(floats(kBatch * round_up(2 * config.intermediate_size, kGroupRows))),
      activated(floats(kBatch * config.intermediate_size)),
      partial(floats(kStepTokens * config.attention_heads * kMaxKeyParts * (config.head_dim + 2))),
      shared(thread_count) {
  if (with_mtp) {
    outputs.resize(floats((kBatch + 1) * config.hidden_size));
    pairs.resize(floats(kBatch * 2 * config.hidden_size));
  }
  for (int i = 0; i < thread_count; ++i) threads.emplace_back(config, with_mtp, kernels);
}

}  // namespace lattice::cpu
