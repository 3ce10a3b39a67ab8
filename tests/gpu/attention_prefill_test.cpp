#include "gpu/attention_reference.h"
#include "gpu/kernel_run.h"
#include "gpu/kernels/kernel_args.h"
#include "gpu/rotary_tables.h"

namespace lattice::gpu {
namespace {

using lattice_gpu::AttentionPrefillArgs;
using lattice_gpu::PromptSpan;

struct PromptAttention {
  std::uint32_t heads;
  std::uint32_t kv_heads;
  std::uint32_t head_dim;
  std::uint32_t rotary_dim;
  std::uint32_t simdgroups;
  bool half;
};

/// A layer's cache and the numbers that do not change from piece to piece, on a device and as the reference
/// has them.
class Run {
 public:
  Run(SoftDevice& device, const PromptAttention& shape, std::uint32_t capacity)
      : device_(device),
        shape_(shape),
        dim_(shape.head_dim),
        capacity_(capacity),
        q_norm_(random_.floats(dim_, 2.0f)),
        k_norm_(random_.floats(dim_, 2.0f)),
        // What stands in the cache before must not matter.
        keys_(rounded(random_.floats(shape.kv_heads * capacity_ * dim_, 100.0f), shape.half)),
        values_(rounded(random_.floats(shape.kv_heads * capacity_ * dim_, 100.0f), shape.half)),
        q_weight_(upload(device, q_norm_)),
        k_weight_(upload(device, k_norm_)),
        key_cache_(upload_cache(device, keys_, shape.half)),
        value_cache_(upload_cache(device, values_, shape.half)) {
    Config config;
    config.rotary_dim = shape.rotary_dim;
    config.rope_theta = kTheta;
    config.max_position_embeddings = 2048;
    const RotaryTables tables(config);
    low_ = upload(device, tables.low);
    high_ = upload(device, tables.high);
  }

  /// Feeds `tokens` more and holds the result to the reference.
  void piece(std::size_t tokens) {
    SCOPED_TRACE(testing::Message() << shape_.heads << '/' << shape_.kv_heads << " heads of " << dim_ << ", "
                                    << tokens << " tokens from " << position_ << ", half " << shape_.half
                                    << ", seed " << random_.seed());
    const std::size_t tile = std::size_t{8} * shape_.simdgroups;
    const std::size_t rows = (tokens + tile - 1) / tile * tile + tile;  // more than there are tokens
    const auto projections = random_.floats(rows * stride(), 2.0f);
    const AttentionPrefillArgs args{{.heads = shape_.heads,
                                     .kv_heads = shape_.kv_heads,
                                     .head_dim = shape_.head_dim,
                                     .capacity = static_cast<std::uint32_t>(capacity_),
                                     .k_offset = static_cast<std::uint32_t>(k_offset()),
                                     .v_offset = static_cast<std::uint32_t>(v_offset()),
                                     .parts = 1,
                                     .epsilon = kEpsilon,
                                     .scale = 1 / std::sqrt(static_cast<float>(dim_))},
                                    static_cast<std::uint32_t>(stride()),
                                    static_cast<std::uint32_t>(out_stride())};
    const auto span = upload(device_, std::vector<PromptSpan>{{static_cast<std::int32_t>(position_),
                                                               static_cast<std::int32_t>(tokens)}});
    const auto in = upload(device_, projections);
    const auto out = upload(device_, std::vector<float>(rows * out_stride(), 7.0f));
    const FunctionConstant constants[] = {{LATTICE_FC_SIMDGROUPS, shape_.simdgroups},
                                          {LATTICE_FC_LANE_DIMS, shape_.head_dim / 32},
                                          {LATTICE_FC_ROTARY, shape_.rotary_dim}};
    const std::string suffix = shape_.half ? "_f16" : "_f32";
    const auto commands = device_.new_commands();
    commands->dispatch(device_.kernel("attention_prepare" + suffix, constants),
                       {*span, *in, *q_weight_, *k_weight_, *low_, *high_, *key_cache_, *value_cache_, args},
                       {(shape_.heads + shape_.kv_heads + shape_.simdgroups - 1) / shape_.simdgroups,
                        static_cast<std::uint32_t>(rows)},
                       shape_.simdgroups * 32);
    commands->barrier();
    commands->dispatch(device_.kernel("attention_prefill" + suffix, constants),
                       {*span, *in, *key_cache_, *value_cache_, *out, args},
                       {shape_.heads, static_cast<std::uint32_t>(rows / tile)}, shape_.simdgroups * 32);
    device_.submit(*commands);

    std::vector<double> expected(rows * out_stride(), 7.0);
    for (std::size_t t = 0; t < tokens; ++t) {
      const auto row = std::span<const float>(projections).subspan(t * stride(), stride());
      append(row);
      for (std::size_t head = 0; head < shape_.heads; ++head)
        attend(row, head, &expected[t * out_stride() + head * dim_]);
      ++position_;
    }
    // Half a unit in the last place of a half, 5e-4, of keys up to about 4 in size and of values up to 2.
    expect_near(download(*out), expected, shape_.half ? 3e-3 : 2e-5);
    if (shape_.half) return;
    expect_near(download(*key_cache_), std::vector<double>(keys_.begin(), keys_.end()), 2e-5);
    expect_near(download(*value_cache_), std::vector<double>(values_.begin(), values_.end()), 0);
  }

 private:
  [[nodiscard]] std::size_t k_offset() const { return 2 * shape_.heads * dim_; }
  [[nodiscard]] std::size_t v_offset() const { return k_offset() + shape_.kv_heads * dim_; }
  [[nodiscard]] std::size_t stride() const { return v_offset() + shape_.kv_heads * dim_ + 4; }
  [[nodiscard]] std::size_t out_stride() const { return shape_.heads * dim_ + 4; }
  [[nodiscard]] std::size_t cached(std::size_t kv_head, std::size_t position) const {
    return (kv_head * capacity_ + position) * dim_;
  }

  void append(std::span<const float> row) {
    for (std::size_t h = 0; h < shape_.kv_heads; ++h) {
      const auto key = norm_and_rotate(row.subspan(k_offset() + h * dim_, dim_), k_norm_, shape_.rotary_dim,
                                       static_cast<std::int32_t>(position_));
      for (std::size_t i = 0; i < dim_; ++i) {
        keys_[cached(h, position_) + i] = static_cast<float>(key[i]);
        values_[cached(h, position_) + i] = row[v_offset() + h * dim_ + i];
      }
    }
  }

  void attend(std::span<const float> row, std::size_t head, double* out) const {
    const std::size_t kv_head = head / (shape_.heads / shape_.kv_heads);
    const auto q = norm_and_rotate(row.subspan(head * 2 * dim_, dim_), q_norm_, shape_.rotary_dim,
                                   static_cast<std::int32_t>(position_));
    double total = 0;
    std::vector<double> sum(dim_);
    for (std::size_t p = 0; p <= position_; ++p) {
      const float* key = &keys_[cached(kv_head, p)];
      const float* value = &values_[cached(kv_head, p)];
      double score = 0;
      for (std::size_t i = 0; i < dim_; ++i) score += q[i] * key[i];
      const double weight = std::exp(score / std::sqrt(static_cast<double>(dim_)));
      total += weight;
      for (std::size_t i = 0; i < dim_; ++i) sum[i] += weight * value[i];
    }
    for (std::size_t i = 0; i < dim_; ++i) out[i] = sum[i] / total * sigmoid(row[head * 2 * dim_ + dim_ + i]);
  }

  SoftDevice& device_;
  Random random_;
  PromptAttention shape_;
  std::size_t dim_;
  std::size_t capacity_;
  std::vector<float> q_norm_, k_norm_, keys_, values_;
  std::size_t position_ = 0;
  std::unique_ptr<Buffer> q_weight_, k_weight_, key_cache_, value_cache_, low_, high_;
};

void run_pieces(SoftDevice& device, const PromptAttention& shape, const std::vector<std::size_t>& pieces) {
  std::size_t total = 0;
  for (const std::size_t tokens : pieces) total += tokens;
  Run run(device, shape, static_cast<std::uint32_t>(total) + 1);
  for (const std::size_t tokens : pieces) run.piece(tokens);
}

TEST(AttentionPrefill, HoldsForLengthsAndPositions) {
  for (const std::size_t tokens : {1, 7, 63, 64, 65, 70}) {
    run_pieces(fast_device(), {4, 2, 32, 8, 4, false}, {tokens, 3, tokens});
  }
}

TEST(AttentionPrefill, HoldsForHeadSizesAndGroups) {
  run_pieces(fast_device(), {1, 1, 32, 32, 1, false}, {33, 9});
  run_pieces(fast_device(), {6, 2, 64, 16, 2, true}, {20, 31, 14});
  run_pieces(fast_device(), {4, 2, 96, 24, 3, true}, {65, 1});
  run_pieces(fast_device(), {3, 3, 128, 32, 8, false}, {70, 7});
  run_pieces(fast_device(), {4, 1, 256, 64, 4, false}, {64, 36});
  run_pieces(fast_device(), {2, 1, 256, 64, 8, true}, {70, 63});
}

TEST(AttentionPrefill, HasNoFindingInCheckingMode) {
  const std::size_t before = checking_device().findings().size();
  run_pieces(checking_device(), {2, 1, 32, 8, 2, false}, {19, 21});
  run_pieces(checking_device(), {2, 2, 96, 32, 1, true}, {7, 3});
  expect_no_finding(checking_device(), before);
}

}  // namespace
}  // namespace lattice::gpu
