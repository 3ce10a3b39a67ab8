#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "formats/fixtures.h"
#include "formats/memory_checkpoint.h"
#include "model/config.h"
#include "model/golden.h"

namespace lattice {
namespace {

using Value = GgufMetadata::Value;
using Values = GgufMetadata::Values;
using Ints = GgufMetadata::IntArray;

/// The metadata of tests/data/model/base_gguf; the file stays mapped.
const Checkpoint& file() {
  static const auto checkpoint = Checkpoint::open(golden::find_case("base_gguf").model);
  return *checkpoint;
}

Values good() {
  Values values = file().gguf()->all();
  values.erase("qwen35.attention.recurrent_layers");
  values["qwen35.full_attention_interval"] = std::int64_t{3};
  return values;
}

Config read(const Values& values, std::vector<Tensor> tensors) {
  return Config::from(MemoryCheckpoint("m.gguf", GgufMetadata("m.gguf", values), std::move(tensors)));
}

Config read(const Values& values) {
  return read(values, {file().tensors().begin(), file().tensors().end()});
}

std::string read_error(const Values& values) {
  return error_of([&] { (void)read(values); });
}

TEST(ConfigGguf, ReadsEveryField) {
  const Config config = read(good());
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.intermediate_size, 32);
  EXPECT_EQ(config.vocab_size, 201);
  EXPECT_EQ(config.max_position_embeddings, 1024);
  EXPECT_EQ(config.layers, (std::vector{LayerKind::kLinear, LayerKind::kLinear, LayerKind::kFull}));
  EXPECT_EQ(config.attention_heads, 4);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.rotary_dim, 8);
  EXPECT_EQ(config.rope_theta, 1e7);
  EXPECT_EQ(config.linear_k_heads, 2);
  EXPECT_EQ(config.linear_v_heads, 6);
  EXPECT_EQ(config.linear_head_dim, 16);
  EXPECT_EQ(config.conv_kernel, 4);
  EXPECT_EQ(config.v_head_order, VHeadOrder::kTiled);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, std::vector<std::int32_t>{0});
  EXPECT_EQ(config.k_head_of(2), 0);
  EXPECT_EQ(config.k_head_of(3), 1);
}

TEST(ConfigGguf, ReadsWhatOtherConvertersWrite) {
  Values values = good();
  values["qwen35.ssm.v_head_reordered"] = false;
  values["qwen35.attention.head_count_kv"] = Ints{0, 0, 2};
  values["qwen35.rope.scaling.type"] = std::string_view("none");
  values["tokenizer.ggml.eot_token_id"] = std::int64_t{7};
  const Config config = read(values);
  EXPECT_EQ(config.v_head_order, VHeadOrder::kGrouped);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.eos_token_ids, (std::vector<std::int32_t>{0, 7}));
  values["qwen35.attention.head_count_kv"] = Ints{0, 0};
  EXPECT_EQ(read_error(values), "m.gguf: qwen35.attention.head_count_kv has 2 entries for 3 layers");
  values["qwen35.attention.head_count_kv"] = Ints{0, 1, 2};
  EXPECT_EQ(read_error(values),
            "m.gguf: qwen35.attention.head_count_kv[1] is 1, which does not go with the other layers' 2");
  values["qwen35.attention.head_count_kv"] = Ints{2, 2, 0};
  EXPECT_EQ(read_error(values),
            "m.gguf: qwen35.attention.head_count_kv[2] is 0, which does not go with the other layers' 2");
}

TEST(ConfigGguf, DraftLayersAreNoDecoderLayers) {
  Values values = good();
  values["qwen35.block_count"] = std::int64_t{4};
  values["qwen35.nextn_predict_layers"] = std::int64_t{1};
  EXPECT_EQ(read(values).n_layers(), 3);
  EXPECT_TRUE(read(values).mtp);
  values["qwen35.nextn_predict_layers"] = std::int64_t{2};
  EXPECT_FALSE(read(values).mtp);
  values["qwen35.nextn_predict_layers"] = std::int64_t{1};
  for (const std::size_t entries : {3, 4}) {
    values["qwen35.attention.recurrent_layers"] = Ints(entries, 1);
    EXPECT_EQ(read(values).count(LayerKind::kLinear), 3);
  }
  for (const std::size_t entries : {2, 5}) {
    values["qwen35.attention.recurrent_layers"] = Ints(entries, 1);
    EXPECT_EQ(read_error(values),
              fmt::format("m.gguf: qwen35.attention.recurrent_layers has {} entries for 3 layers", entries));
  }
  for (const std::int64_t draft : {std::int64_t{-1}, std::int64_t{4}, INT64_MAX}) {
    values["qwen35.nextn_predict_layers"] = draft;
    EXPECT_EQ(read_error(values),
              fmt::format("m.gguf: qwen35.nextn_predict_layers is {}, of qwen35.block_count 4", draft));
  }
}

TEST(ConfigGguf, IntervalsOfAnyLengthAreRead) {
  Values values = good();
  values["qwen35.full_attention_interval"] = INT64_MAX;
  EXPECT_EQ(read(values).count(LayerKind::kFull), 0);
  values.erase("qwen35.full_attention_interval");
  values["qwen35.block_count"] = std::int64_t{8};
  EXPECT_EQ(read(values).count(LayerKind::kFull), 2);
}

TEST(ConfigGguf, NeedsTheEmbedding) {
  EXPECT_EQ(error_of([] { (void)read(good(), {}); }), "m.gguf: tensor token_embd.weight is missing");
  EXPECT_EQ(error_of([] {
              (void)read(good(), {{"token_embd.weight", {64}, DType::kF32, "F32", {}}});
            }),
            "m.gguf: tensor token_embd.weight has 1 dimensions, not 2");
  EXPECT_TRUE(read(good(), {{"token_embd.weight", {201, 64}, DType::kF32, "F32", {}}}).tie_word_embeddings);
}

struct BadKey {
  std::string key;
  std::optional<Value> value;
  std::string message;  // after "m.gguf: "
};

void PrintTo(const BadKey& bad, std::ostream* out) {
  *out << bad.key << ", " << bad.message;
}

class BadConfigGguf : public testing::TestWithParam<BadKey> {};

TEST_P(BadConfigGguf, IsAnErrorThatNamesFileAndKey) {
  Values values = good();
  if (GetParam().value) {
    values[GetParam().key] = *GetParam().value;
  } else {
    values.erase(GetParam().key);
  }
  EXPECT_EQ(read_error(values), "m.gguf: " + GetParam().message);
}

std::vector<BadKey> bad_keys() {
  std::vector<BadKey> bad;
  for (const auto& [name, most] :
       std::vector<std::pair<const char*, std::int64_t>>{{"embedding_length", 1 << 17},
                                                         {"feed_forward_length", 1 << 20},
                                                         {"context_length", 1 << 24},
                                                         {"attention.head_count", 1 << 10},
                                                         {"attention.head_count_kv", 1 << 10},
                                                         {"attention.key_length", 1 << 10},
                                                         {"ssm.group_count", 1 << 10},
                                                         {"ssm.time_step_rank", 1 << 10},
                                                         {"ssm.state_size", 1 << 10},
                                                         {"ssm.conv_kernel", 16}}) {
    const std::string key = fmt::format("qwen35.{}", name);
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, most + 1, INT64_MAX, INT64_MIN}) {
      bad.push_back({key, value, fmt::format("{} is {}, not between 1 and {}", key, value, most)});
    }
    const std::string quoted = fmt::format("metadata key \"{}\" is ", key);
    bad.push_back({key, std::nullopt, quoted + "missing"});
    bad.push_back({key, UINT64_MAX, quoted + "not an integer of at most 64 bits with a sign"});
    bad.push_back({key, 64.0, quoted + "not an integer of at most 64 bits with a sign"});
  }
  const auto integer = [](std::int64_t value) { return Value(value); };
  const auto text = [](std::string_view value) { return Value(value); };
  const std::vector<BadKey> others = {
      {"general.architecture", text("llama"), "general.architecture is \"llama\"; Lattice runs qwen35"},
      {"general.architecture", std::nullopt, "metadata key \"general.architecture\" is missing"},
      {"general.architecture", text("qwen35moe"),
       "general.architecture is qwen35moe: Lattice runs the dense models of the Qwen3.5 family, not its "
       "mixtures of "
       "experts"},
      {"qwen35.rope.scaling.type", text("yarn"),
       "qwen35.rope.scaling.type is \"yarn\"; Lattice computes the default rotary embedding alone"},
      {"qwen35.block_count", integer(0), "qwen35.block_count is 0, not between 1 and 1024"},
      {"qwen35.block_count", integer(1025), "qwen35.block_count is 1025, not between 1 and 1024"},
      {"qwen35.full_attention_interval", integer(0), "qwen35.full_attention_interval is 0, not 1 or more"},
      {"qwen35.attention.value_length", integer(64),
       "qwen35.attention.value_length is 64, but attention.key_length is 32"},
      {"qwen35.ssm.inner_size", integer(64),
       "qwen35.ssm.inner_size is 64, but ssm.time_step_rank times ssm.state_size is 96"},
      {"qwen35.vocab_size", integer(200),
       "qwen35.vocab_size is 200, but the row count of token_embd.weight is 201"},
      {"qwen35.attention.head_count_kv", integer(3),
       "qwen35.attention.head_count is 4, not a multiple of attention.head_count_kv 3"},
      {"qwen35.ssm.group_count", integer(4),
       "qwen35.ssm.time_step_rank is 6, not a multiple of ssm.group_count 4"},
      {"qwen35.ssm.conv_kernel", integer(1), "qwen35.ssm.conv_kernel is 1, which is no convolution"},
      {"qwen35.rope.dimension_count", integer(7),
       "qwen35.rope.dimension_count makes 7 rotated dimensions, not an even number between 2 and the head's "
       "32"},
      {"qwen35.rope.dimension_count", integer(34),
       "qwen35.rope.dimension_count makes 34 rotated dimensions, not an even number between 2 and the head's "
       "32"},
      {"qwen35.rope.dimension_count", integer(INT64_MIN),
       "qwen35.rope.dimension_count makes -9223372036854775808 rotated dimensions, not an even number "
       "between 2 and "
       "the head's 32"},
      {"qwen35.rope.freq_base", Value(0.0), "qwen35.rope.freq_base is 0, not between 1 and 1e15"},
      {"qwen35.rope.freq_base", Value(std::numeric_limits<double>::quiet_NaN()),
       "qwen35.rope.freq_base is nan, not between 1 and 1e15"},
      {"qwen35.rope.freq_base", integer(10000),
       "metadata key \"qwen35.rope.freq_base\" is not a floating-point number"},
      {"qwen35.attention.layer_norm_rms_epsilon", Value(std::numeric_limits<double>::infinity()),
       "qwen35.attention.layer_norm_rms_epsilon is inf, not above 0 and at most 1"},
      {"qwen35.ssm.v_head_reordered", integer(1),
       "metadata key \"qwen35.ssm.v_head_reordered\" is not a boolean"},
      {"qwen35.attention.recurrent_layers", integer(1),
       "metadata key \"qwen35.attention.recurrent_layers\" is not an array of integers"},
      {"tokenizer.ggml.eos_token_id", integer(201),
       "tokenizer.ggml.eos_token_id is 201, outside the vocabulary of 201"},
      {"tokenizer.ggml.eot_token_id", integer(-1),
       "tokenizer.ggml.eot_token_id is -1, outside the vocabulary of 201"},
  };
  bad.insert(bad.end(), others.begin(), others.end());
  return bad;
}

INSTANTIATE_TEST_SUITE_P(All, BadConfigGguf, testing::ValuesIn(bad_keys()));

}  // namespace
}  // namespace lattice
