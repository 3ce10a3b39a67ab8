#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/attention.h"
#include "cpu/kernel_fixture.h"
#include "cpu/linear_mixer.h"

// What a prompt's blocks and chunks make of a mixer's projections, beside decode steps over the same: two
// pieces of code that have little in common but the kernels that both are written over.

namespace lattice::cpu {
namespace {

class PromptTest : public KernelTest {
 protected:
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
};

struct AttentionShape {
  std::int64_t kv_heads, group, head_dim, rotary_dim;
};

Config attention_config(const AttentionShape& shape) {
  Config config;
  config.max_position_embeddings = 512;
  config.kv_heads = shape.kv_heads;
  config.attention_heads = shape.kv_heads * shape.group;
  config.head_dim = shape.head_dim;
  config.rotary_dim = shape.rotary_dim;
  config.rope_theta = 1e6;
  config.rms_norm_eps = 1e-6;
  config.layers = {LayerKind::kFull};
  return config;
}

TEST_P(PromptTest, BlocksOfAttentionAgreeWithSteps) {
  for (const AttentionShape& shape : {AttentionShape{1, 1, 16, 8}, {2, 3, 48, 16}, {2, 4, 256, 64}}) {
    for (const KvFormat kv : {KvFormat::kF32, KvFormat::kF16}) {
      const Config config = attention_config(shape);
      const std::int64_t d = config.head_dim;
      CpuFullMixer weights;
      weights.q_norm = floats(d, 0.5f, 1.5f);
      weights.k_norm = floats(d, 0.5f, 1.5f);
      Workspace workspace(config, 1, false, kernels_of(GetParam()));
      std::int64_t position = 0;
      const std::int64_t capacity = 240;
      CpuState state(config, capacity, kv == KvFormat::kF16 ? 2 : 4, false);
      // Pieces that begin and end within a block of keys and of queries.
      for (const std::int64_t tokens : {9, 16, 39, 65, 111}) {
        const std::int64_t stride = 2 * config.q_dim() + 2 * config.kv_dim() + 5;
        const std::vector<float> projected = floats(tokens * stride, -2.0f, 2.0f);
        const std::vector<float> angles = floats(tokens * config.rotary_dim, -0.7f, 0.7f);
        std::vector<float> blocks(size(tokens * config.q_dim()), 77.0f);
        std::vector<float> steps = blocks;
        const float* k = projected.data() + 2 * config.q_dim();
        const AttentionPass::Projections in{projected.data(), k, k + config.kv_dim(), stride, angles.data()};
        const auto pass_to = [&](std::vector<float>& out) {
          return AttentionPass(config, kernels(), weights, state.layer(0), kv, capacity, in, position, tokens,
                               out.data());
        };
        ThreadScratch& scratch = workspace.threads[0];
        const AttentionPass batch = pass_to(blocks);
        for (std::int64_t t = 0; t < tokens; ++t) batch.append(t, scratch);
        for (std::int64_t h = 0; h < config.kv_heads; ++h) {
          for (std::int64_t t = 0; t < tokens; t += kQueryBlock) batch.block(h, t, scratch);
        }
        const AttentionPass single = pass_to(steps);
        std::vector<float> partial(size(tokens * config.attention_heads * kMaxKeyParts * (d + 2)));
        for (std::int64_t t = 0; t < tokens; ++t) {
          for (std::int64_t h = 0; h < config.kv_heads; ++h) {
            for (std::int64_t part = 0; part < single.parts(t); ++part)
              single.part(h, t, part, scratch, partial.data());
          }
          for (std::int64_t h = 0; h < config.attention_heads; ++h)
            single.merge(h, t, scratch, partial.data());
        }
        // Normed queries and keys are no longer than 1.5 √d, and turned by a little more or less than by a
        // rotation: scores sum up magnitudes of 2.25 √d · 2 at most, after the scale. An error of a score
        // moves a weight by as much of itself, and all weights by as much at most; values are below 2.
        const double score = sum_error(4.5 * std::sqrt(static_cast<double>(d)), d + 4);
        const double weighted = sum_error(1.0, position + tokens + 8);
        const double tolerance = 2 * 2.0 * (2 * score + 2 * weighted);
        for (std::size_t i = 0; i < blocks.size(); ++i)
          ASSERT_NEAR(blocks[i], steps[i], tolerance) << i << " of " << tokens << " tokens at " << position;
        position += tokens;
      }
      ASSERT_EQ(position, capacity);
    }
  }
}

struct DeltaShape {
  std::int64_t k_heads, v_heads, head_dim, conv_kernel;
  VHeadOrder order;
};

Config delta_config(const DeltaShape& shape) {
  Config config;
  config.max_position_embeddings = 512;
  config.linear_k_heads = shape.k_heads;
  config.linear_v_heads = shape.v_heads;
  config.linear_head_dim = shape.head_dim;
  config.conv_kernel = shape.conv_kernel;
  config.v_head_order = shape.order;
  config.rms_norm_eps = 1;  // so that the norm does not enlarge errors
  config.layers = {LayerKind::kLinear};
  return config;
}

TEST_P(PromptTest, ChunksOfTheDeltaRuleAgreeWithSteps) {
  for (const DeltaShape& shape : {DeltaShape{1, 1, 16, 4, VHeadOrder::kGrouped},
                                  {1, 3, 48, 2, VHeadOrder::kGrouped},
                                  {2, 4, 80, 4, VHeadOrder::kTiled},
                                  {1, 2, 128, 4, VHeadOrder::kGrouped}}) {
    const Config config = delta_config(shape);
    const std::int64_t d = config.linear_head_dim, heads = config.linear_v_heads;
    CpuLinearMixer weights;
    weights.conv_taps = floats(config.conv_kernel * config.conv_dim());
    weights.decay_rate = floats(heads, -0.2f, -0.01f);
    weights.dt_bias = floats(heads);
    weights.norm = floats(d, 0.5f, 1.5f);
    Workspace workspace(config, 1, false, kernels_of(GetParam()));
    CpuState chunked(config, 512, sizeof(float), false);
    CpuState stepped(config, 512, sizeof(float), false);
    std::int64_t total = 0;
    for (const std::int64_t tokens : {9, 64, 65, 31, 128}) {
      total += tokens;
      const std::int64_t stride = config.conv_dim() + config.linear_v_dim() + 2 * heads + 7;
      const std::vector<float> projected = floats(tokens * stride, -2.0f, 2.0f);
      std::vector<float> chunks(size(tokens * config.linear_v_dim()), 77.0f);
      std::vector<float> steps = chunks;
      const auto pass_of = [&](const CpuState& state, std::int64_t first, std::int64_t count, float* out) {
        const float* qkv = projected.data() + first * stride;
        const float* z = qkv + config.conv_dim();
        const float* b = z + config.linear_v_dim();
        return LinearMixerPass(config, kernels(), weights, state, state.layer(0),
                               {qkv, z, b, b + heads, stride}, count, out);
      };
      ThreadScratch& scratch = workspace.threads[0];
      const LinearMixerPass batch = pass_of(chunked, 0, tokens, chunks.data());
      for (std::int64_t h = 0; h < heads; ++h) batch.chunks(h, scratch);
      batch.keep_inputs(0, config.conv_dim());
      chunked.advance(tokens, 0);
      for (std::int64_t t = 0; t < tokens; ++t) {
        const LinearMixerPass one = pass_of(stepped, t, 1, steps.data() + t * config.linear_v_dim());
        for (std::int64_t h = 0; h < heads; ++h) one.steps(h, scratch);
        stepped.advance(1, 0);
      }
      // A token's error is that of a sum over a row of the matrix, or over a chunk as well, and enters the
      // matrix times a key of length 1. What is there does not grow: the rule only takes from it. Values and
      // the matrix's numbers are no larger than `most`, a row's product with a key than √d of that.
      const auto matrix = [&](const CpuState& state) {
        return std::span<const float>(state.layer(0).delta.as<float>(), size(heads * d * d));
      };
      double most = 8;
      for (const float x : matrix(stepped)) most = std::max(most, std::abs(static_cast<double>(x)));
      const double row = most * std::sqrt(static_cast<double>(d));
      const double error = 2 * static_cast<double>(total) * sum_error(row, d + kChunk + 8);
      for (std::size_t i = 0; i < matrix(stepped).size(); ++i)
        ASSERT_NEAR(matrix(chunked)[i], matrix(stepped)[i], error) << i << " after " << total;
      // A query is 1/√d long; the norm's factor is below 1, its derivative below 2, its weight below 1.5 and
      // the gate below 2.
      const double tolerance = 6 * error / std::sqrt(static_cast<double>(d));
      for (std::size_t i = 0; i < chunks.size(); ++i)
        ASSERT_NEAR(chunks[i], steps[i], tolerance) << i << " of " << tokens << " tokens";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, PromptTest, testing::ValuesIn(available_isas()), kernel_test_name);

}  // namespace
}  // namespace lattice::cpu
