#include <bit>
#include <utility>

#include "gpu/attention_reference.h"
#include "gpu/decode_step.h"
#include "gpu/grid.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/planes.h"
#include "gpu/rotary_tables.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::AttentionArgs;
using lattice_gpu::StepState;

struct AttentionStep {
  std::uint32_t heads;
  std::uint32_t kv_heads;
  std::uint32_t head_dim;
  std::uint32_t rotary_dim;
  std::uint32_t parts;
  std::uint32_t simdgroups;
  bool half;
  std::int32_t position;
  bool products = false;  ///< by attention_decode_halves
  std::uint32_t planes = LATTICE_PLANES_NONE;
  std::uint32_t queries = 4;  ///< of a threadgroup by products
};

void run_attention(SoftDevice& device, const AttentionStep& shape) {
  Random random;
  SCOPED_TRACE(testing::Message() << shape.heads << '/' << shape.kv_heads << " heads of " << shape.head_dim
                                  << ", " << shape.parts << " parts, position " << shape.position << ", half "
                                  << shape.half << ", seed " << random.seed());
  const std::size_t dim = shape.head_dim;
  const std::size_t capacity = static_cast<std::size_t>(shape.position) + 3;
  const std::size_t group = shape.heads / shape.kv_heads;
  const std::size_t k_offset = 2 * shape.heads * dim, v_offset = k_offset + shape.kv_heads * dim;
  const auto projections = random.floats(v_offset + shape.kv_heads * dim, 2.0f);
  const auto q_norm = random.floats(dim, 2.0f), k_norm = random.floats(dim, 2.0f);
  std::vector<float> keys = rounded(random.floats(shape.kv_heads * capacity * dim), shape.half);
  std::vector<float> values = rounded(random.floats(shape.kv_heads * capacity * dim), shape.half);

  Config config;
  config.rotary_dim = shape.rotary_dim;
  config.rope_theta = kTheta;
  config.max_position_embeddings = 2048;
  const RotaryTables tables(config);
  const AttentionArgs args{.heads = shape.heads,
                           .kv_heads = shape.kv_heads,
                           .head_dim = shape.head_dim,
                           .capacity = static_cast<std::uint32_t>(capacity),
                           .k_offset = static_cast<std::uint32_t>(k_offset),
                           .v_offset = static_cast<std::uint32_t>(v_offset),
                           .parts = shape.parts,
                           .epsilon = kEpsilon,
                           .scale = 1 / std::sqrt(static_cast<float>(dim))};
  const auto step = upload(device, std::vector<StepState>{{0, shape.position}});
  const auto in = upload(device, projections), q_weight = upload(device, q_norm),
             k_weight = upload(device, k_norm), low = upload(device, tables.low),
             high = upload(device, tables.high);
  const auto key_cache = upload_cache(device, keys, shape.half),
             value_cache = upload_cache(device, values, shape.half);
  const std::size_t outputs = shape.heads * dim;
  const auto out = device.allocate(planes_floats(outputs) * sizeof(float));
  const auto partial = device.allocate(shape.heads * shape.parts * (dim + 2) * sizeof(float));
  const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, shape.simdgroups},
                                        {LATTICE_FC_GROUP, static_cast<std::uint32_t>(group)},
                                        {LATTICE_FC_LANE_DIMS, shape.head_dim / 32},
                                        {LATTICE_FC_ROTARY, shape.rotary_dim},
                                        {LATTICE_FC_TO_PLANES, shape.planes}};
  std::vector<FunctionConstant> own_constants(std::begin(constants), std::end(constants));
  if (shape.products) own_constants.push_back({LATTICE_FC_QUERIES, shape.queries});
  const auto commands = device.new_commands();
  commands->dispatch(
      device.kernel(shape.products ? "attention_decode_halves"
                    : shape.half   ? "attention_decode_f16"
                                   : "attention_decode_f32",
                    own_constants),
      {*step, *in, *q_weight, *k_weight, *low, *high, *key_cache, *value_cache, *out, *partial, args},
      {shape.parts,
       shape.kv_heads * (shape.products ? ceil_div(static_cast<std::uint32_t>(group), shape.queries) : 1)},
      shape.simdgroups * 32);
  commands->barrier();
  if (shape.parts > 1) {
    commands->dispatch(device.kernel("attention_merge", constants), {*in, *partial, *out, args},
                       {shape.heads}, shape.simdgroups * 32);
  }
  device.submit(*commands);

  constexpr double kTolerance = 2e-5;
  const std::vector<float> kept_keys = download_cache(*key_cache, shape.half);
  std::vector<double> expected;
  const auto span = std::span<const float>(projections);
  for (std::size_t head = 0; head < shape.heads; ++head) {
    const std::size_t kv_head = head / group;
    const auto q =
        norm_and_rotate(span.subspan(head * 2 * dim, dim), q_norm, shape.rotary_dim, shape.position);
    const auto own = norm_and_rotate(span.subspan(k_offset + kv_head * dim, dim), k_norm, shape.rotary_dim,
                                     shape.position);
    const std::size_t first = (kv_head * capacity + static_cast<std::size_t>(shape.position)) * dim;
    const auto own_value = projections.begin() + static_cast<std::ptrdiff_t>(v_offset + kv_head * dim);
    std::ranges::copy(rounded({own_value, own_value + static_cast<std::ptrdiff_t>(dim)}, shape.half),
                      values.begin() + static_cast<std::ptrdiff_t>(first));
    // The key is taken as it was kept: which half is nearest may hang on a float's last bit.
    for (std::size_t i = 0; i < dim; ++i) {
      const double rounding = shape.half ? std::abs(own[i]) * 0x1p-11 : 0;
      ASSERT_NEAR(kept_keys[first + i], own[i], rounding + kTolerance * (1 + std::abs(own[i])));
      keys[first + i] = kept_keys[first + i];
    }
    double total = 0;
    std::vector<double> sum(dim);
    for (std::size_t p = 0; p <= static_cast<std::size_t>(shape.position); ++p) {
      const std::size_t row = (kv_head * capacity + p) * dim;
      double score = 0;
      for (std::size_t i = 0; i < dim; ++i) score += q[i] * keys[row + i];
      const double weight = std::exp(score / std::sqrt(static_cast<double>(dim)));
      total += weight;
      for (std::size_t i = 0; i < dim; ++i) sum[i] += weight * values[row + i];
    }
    for (std::size_t i = 0; i < dim; ++i) {
      expected.push_back(sum[i] / total * sigmoid(projections[head * 2 * dim + dim + i]));
    }
  }
  const std::vector<float> left = download(*out);
  expect_near(shape.planes == LATTICE_PLANES_NONE ? left : of_planes(shape.planes, outputs, left), expected,
              kTolerance);
  // The cache has the token's own row, and nothing else has changed.
  EXPECT_TRUE(kept_keys == keys);
  EXPECT_TRUE(download_cache(*value_cache, shape.half) == values);
}

TEST(AttentionDecode, LeavesItsOutputInPlanes) {
  for (const std::uint32_t planes : {LATTICE_PLANES_BYTES, LATTICE_PLANES_NIBBLES}) {
    run_attention(fast_device(), {6, 2, 64, 64, 1, 3, false, 31, false, planes});
    run_attention(fast_device(), {4, 2, 96, 24, 3, 2, true, 70, false, planes});
    run_attention(fast_device(), {6, 1, 128, 64, 1, 4, true, 40, true, planes});
    run_attention(fast_device(), {6, 1, 128, 64, 2, 4, true, 70, true, planes});
    run_attention(fast_device(), {4, 2, 256, 64, 1, 8, true, 70, true, planes, 1});
    run_attention(fast_device(), {5, 1, 192, 64, 1, 4, true, 40, true, planes, 2});
  }
}

TEST(AttentionDecode, HoldsForHeadSizesGroupsAndPositions) {
  for (const std::int32_t position : {0, 1, 31, 70}) {
    run_attention(fast_device(), {1, 1, 32, 8, 1, 1, false, position});
    run_attention(fast_device(), {6, 2, 64, 64, 1, 3, false, position});
    run_attention(fast_device(), {8, 1, 256, 64, 1, 4, false, position});
    run_attention(fast_device(), {4, 2, 96, 24, 1, 8, true, position});
  }
}

TEST(AttentionDecode, HoldsWithProductsOfHalves) {
  for (const std::int32_t position : {0, 1, 15, 16, 31, 70, 140}) {
    run_attention(fast_device(), {4, 1, 64, 64, 1, 1, true, position, true});
    run_attention(fast_device(), {2, 2, 64, 16, 1, 3, true, position, true});
    run_attention(fast_device(), {8, 2, 256, 64, 1, 8, true, position, true});
    run_attention(fast_device(), {6, 1, 128, 32, 1, 4, true, position, true});  // two sets of queries
    run_attention(fast_device(), {5, 1, 192, 64, 1, 2, true, position, true});
    for (const std::uint32_t queries : {1u, 2u, 3u}) {  // of a threadgroup
      run_attention(fast_device(), {8, 2, 256, 64, 1, 8, true, position, true, LATTICE_PLANES_NONE, queries});
      run_attention(fast_device(), {5, 1, 64, 16, 1, 2, true, position, true, LATTICE_PLANES_NONE, queries});
    }
  }
  for (const std::uint32_t parts : {2u, 3u, 8u}) {
    for (const std::int32_t position : {0, 32, 63, 64, 300}) {
      run_attention(fast_device(), {7, 1, 64, 16, parts, 2, true, position, true});
      run_attention(fast_device(), {8, 2, 256, 64, parts, 8, true, position, true});
    }
  }
}

TEST(AttentionDecode, HoldsForEveryNumberOfParts) {
  for (const std::uint32_t parts : {2u, 3u, 8u}) {  // more than there are blocks of keys, too
    for (const std::int32_t position : {0, 32, 63, 64, 300}) {
      run_attention(fast_device(), {4, 2, 64, 16, parts, 2, false, position});
    }
    run_attention(fast_device(), {3, 3, 128, 32, parts, 4, true, 200});
  }
}

/// As a sequence grows, few different numbers of parts, none of which has too few keys or too many.
TEST(KeySharing, GrowsWithTheContext) {
  const KeySharing large = KeySharing::of(132, 2, /*products=*/false);
  const std::pair<std::int64_t, std::uint32_t> expected[] = {
      {0, 1}, {63, 1}, {64, 4}, {500, 16}, {1000, 16}, {1024, 32}, {4000, 64}, {8191, 128}, {32000, 128}};
  for (const auto& [position, parts] : expected) EXPECT_EQ(large.parts(position), parts) << position;
  const KeySharing products = KeySharing::of(132, 2, /*products=*/true);
  const std::pair<std::int64_t, std::uint32_t> with_products[] = {
      {0, 1}, {127, 1}, {128, 4}, {500, 8}, {2000, 16}, {4000, 32}, {8191, 64}, {32000, 64}};
  for (const auto& [position, parts] : with_products) EXPECT_EQ(products.parts(position), parts) << position;
  const KeySharing none = KeySharing::of(0, 2, false);
  EXPECT_EQ(none.parts(255), 1u);
  EXPECT_EQ(none.parts(256), 4u);
  EXPECT_EQ(KeySharing::of(8, 16, false).parts(262143), 1u);  // every core has a head of its own
  std::uint32_t before = 1;
  for (std::int64_t position = 0; position < 70000; ++position) {
    const std::uint32_t parts = large.parts(position);
    EXPECT_TRUE(std::has_single_bit(parts) && parts >= before && parts <= large.most_parts) << position;
    before = parts;
  }
}

/// A query a threadgroup where no parts are needed, but not where there could never be any.
TEST(AttentionDecode, SharesOutQueriesOfShortSequences) {
  AttentionDecode attention{"attention_decode_halves", 6, true, 8, KeySharing::of(132, 4, true)};
  EXPECT_EQ(attention.queries(1), 1u);
  EXPECT_EQ(attention.query_sets(1), 6u);
  EXPECT_EQ(attention.queries(4), 4u);
  EXPECT_EQ(attention.query_sets(4), 2u);
  attention.sharing = KeySharing::of(8, 16, true);
  EXPECT_EQ(attention.queries(1), 4u);
  attention.shares_queries = false;
  EXPECT_EQ(attention.query_sets(1), 1u);
}

TEST(AttentionDecode, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  run_attention(checking_device(), {4, 2, 32, 8, 1, 3, false, 0});
  run_attention(checking_device(), {3, 1, 64, 32, 1, 2, true, 40});
  run_attention(checking_device(), {4, 2, 32, 8, 4, 2, false, 70});
  run_attention(checking_device(), {6, 1, 64, 32, 1, 2, true, 40, true});
  run_attention(checking_device(), {4, 2, 64, 8, 3, 3, true, 70, true});
  run_attention(checking_device(), {4, 2, 128, 8, 1, 3, true, 40, true, LATTICE_PLANES_NONE, 1});
  run_attention(checking_device(), {4, 1, 256, 64, 1, 2, true, 20, true});  // spans in two turns
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
