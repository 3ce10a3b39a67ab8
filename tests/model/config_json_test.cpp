#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "formats/fixtures.h"
#include "formats/memory_checkpoint.h"
#include "model/config.h"
#include "model/golden.h"

namespace lattice {
namespace {

using Json = nlohmann::json;

Json config_of(const char* name) {
  return golden::read_json(golden::find_case(name).model / "config.json");
}

Config read(const Json& config, const std::optional<Json>& generation = std::nullopt, bool has_head = false) {
  std::vector<Tensor> tensors;
  if (has_head) tensors.push_back({"lm_head.weight", {201, 64}, DType::kBF16, "BF16", {}});
  return Config::from(
      MemoryCheckpoint("model", CheckpointKind::kSafetensors, config, generation, std::move(tensors)));
}

std::string read_error(const Json& config, const std::optional<Json>& generation = std::nullopt) {
  return error_of([&] { (void)read(config, generation); });
}

/// A text config that can be read without tensors.
Json flat() {
  Json config = config_of("base");
  config["tie_word_embeddings"] = true;
  return config;
}

TEST(ConfigJson, ReadsEveryField) {
  const Config config = read(flat());
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
  EXPECT_EQ(config.v_head_order, VHeadOrder::kGrouped);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, std::vector<std::int32_t>{0});
}

TEST(ConfigJson, DerivesSizes) {
  const Config config = read(flat());
  EXPECT_EQ(config.linear_k_dim(), 32);
  EXPECT_EQ(config.linear_v_dim(), 96);
  EXPECT_EQ(config.conv_dim(), 160);
  EXPECT_EQ(config.q_dim(), 128);
  EXPECT_EQ(config.kv_dim(), 64);
  EXPECT_EQ(config.state_bytes(), 2 * (6 * 16 * 16 + 160 * 3) * 4);
  EXPECT_EQ(config.kv_bytes_per_token(2), 2 * 64 * 2);
  EXPECT_EQ(config.k_head_of(2), 0);
  EXPECT_EQ(config.k_head_of(3), 1);
}

TEST(ConfigJson, ReadsTheNestedConfigOfAVisionModel) {
  const Json nested = config_of("nested_v_per_k_3");
  EXPECT_EQ(read(nested).hidden_size, 64);
  EXPECT_EQ(read(nested, Json{{"eos_token_id", {0, 7}}}).eos_token_ids, (std::vector<std::int32_t>{0, 7}));
  Json broken = nested;
  broken["text_config"]["hidden_size"] = 0;
  EXPECT_EQ(read_error(broken), "model/config.json: text_config.hidden_size is 0, not between 1 and 131072");
  broken = nested;
  broken["text_config"]["model_type"] = "qwen3_text";
  EXPECT_EQ(read_error(broken),
            "model/config.json: text_config.model_type is \"qwen3_text\", not qwen3_5_text");
  broken["text_config"] = Json::array();
  EXPECT_EQ(read_error(broken), "model/config.json: text_config is not an object");
  broken.erase("text_config");
  EXPECT_EQ(read_error(broken), "model/config.json: text_config is missing, though model_type is qwen3_5");
}

TEST(ConfigJson, WhatMayBeLeftOutHasADefault) {
  Json config = flat();
  for (const char* name :
       {"attention_bias", "attn_output_gate", "hidden_act", "eos_token_id", "architectures"}) {
    config.erase(name);
  }
  config["rope_parameters"].erase("partial_rotary_factor");
  config["rope_parameters"].erase("rope_type");
  const Config read_config = read(config);
  EXPECT_EQ(read_config.rotary_dim, 8);
  EXPECT_TRUE(read_config.eos_token_ids.empty());
  config["eos_token_id"] = nullptr;  // as good as absent
  EXPECT_TRUE(read(config).eos_token_ids.empty());
}

TEST(ConfigJson, LayersFollowTheListOrTheInterval) {
  Json config = flat();
  config.erase("layer_types");
  config["num_hidden_layers"] = 5;
  constexpr auto kLinear = LayerKind::kLinear, kFull = LayerKind::kFull;
  EXPECT_EQ(read(config).layers, (std::vector{kLinear, kLinear, kLinear, kFull, kLinear}));
  config["full_attention_interval"] = 2;
  EXPECT_EQ(read(config).layers, (std::vector{kLinear, kFull, kLinear, kFull, kLinear}));
  config["full_attention_interval"] = INT64_MAX;
  EXPECT_EQ(read(config).count(kFull), 0);
  config["full_attention_interval"] = 1;
  EXPECT_EQ(read(config).count(kLinear), 0);
  config.erase("full_attention_interval");
  EXPECT_EQ(read(config).count(kFull), 1);
  config["full_attention_interval"] = 0;
  EXPECT_EQ(read_error(config), "model/config.json: full_attention_interval is 0, not 1 or more");
}

TEST(ConfigJson, RotaryFieldsMayStandBesideTheOthers) {
  Json config = flat();
  config.erase("rope_parameters");
  config["rope_theta"] = 5000;
  config["partial_rotary_factor"] = 0.5;
  EXPECT_EQ(read(config).rope_theta, 5000);
  EXPECT_EQ(read(config).rotary_dim, 16);
  config.erase("rope_theta");
  EXPECT_EQ(read_error(config), "model/config.json: rope_theta is missing");
}

TEST(ConfigJson, TheHeadIsTiedUnlessThereIsOne) {
  Json config = flat();
  EXPECT_TRUE(read(config).tie_word_embeddings);
  EXPECT_FALSE(read(config, std::nullopt, true).tie_word_embeddings);
  config["tie_word_embeddings"] = false;
  EXPECT_FALSE(read(config, std::nullopt, true).tie_word_embeddings);
  EXPECT_EQ(read_error(config),
            "model/config.json: tie_word_embeddings is not true, but the checkpoint has no lm_head.weight");
}

TEST(ConfigJson, AHeadThatGuessesAheadHasOneLayerAndTheDecodersEmbedding) {
  Json config = flat();
  EXPECT_FALSE(read(config).mtp);
  config["mtp_num_hidden_layers"] = 1;
  EXPECT_TRUE(read(config).mtp);
  config["mtp_use_dedicated_embeddings"] = false;
  EXPECT_TRUE(read(config).mtp);
  config["mtp_use_dedicated_embeddings"] = true;
  EXPECT_FALSE(read(config).mtp);
  config["mtp_use_dedicated_embeddings"] = nullptr;
  config["mtp_num_hidden_layers"] = 3;
  EXPECT_FALSE(read(config).mtp);
}

TEST(ConfigJson, EndTokensAreThoseOfBothFilesAndOfTheFamilysVocabulary) {
  Json config = flat();
  config["eos_token_id"] = {9, 3};
  EXPECT_EQ(read(config, Json{{"eos_token_id", 5}}).eos_token_ids, (std::vector<std::int32_t>{3, 5, 9}));
  EXPECT_EQ(read(config, Json{{"eos_token_id", {3, 9}}}).eos_token_ids, (std::vector<std::int32_t>{3, 9}));
  config["vocab_size"] = 248320;
  config["eos_token_id"] = 248044;
  EXPECT_EQ(read(config).eos_token_ids, (std::vector<std::int32_t>{248044, 248046}));
  for (const Json& wrong : {Json(-1), Json(201), Json({0, 201})}) {
    EXPECT_NE(read_error(flat(), Json{{"eos_token_id", wrong}})
                  .find("model/generation_config.json: eos_token_id is "),
              std::string::npos);
  }
  EXPECT_EQ(read_error(flat(), Json{{"eos_token_id", "x"}}),
            "model/generation_config.json: eos_token_id is not a whole number");
  EXPECT_EQ(read_error(flat(), Json::array()), "model/generation_config.json: it holds no object");
}

TEST(ConfigJson, HoldsAnObject) {
  EXPECT_EQ(read_error(Json(7)), "model/config.json: it holds no object");
}

struct BadField {
  std::string field;  // a JSON pointer
  Json value;
  std::string message;  // after "model/config.json: "
};

void PrintTo(const BadField& bad, std::ostream* out) {
  *out << bad.field << ": " << bad.value;
}

class BadConfigJson : public testing::TestWithParam<BadField> {};

TEST_P(BadConfigJson, IsAnErrorThatNamesFileAndField) {
  Json config = flat();
  config[Json::json_pointer(GetParam().field)] = GetParam().value;
  EXPECT_EQ(read_error(config), "model/config.json: " + GetParam().message);
}

std::vector<BadField> bad_fields() {
  std::vector<BadField> bad;
  // Every dimension, at the first values beyond its bounds.
  for (const auto& [field, most] :
       std::vector<std::pair<const char*, std::int64_t>>{{"hidden_size", 1 << 17},
                                                         {"intermediate_size", 1 << 20},
                                                         {"vocab_size", 1 << 24},
                                                         {"max_position_embeddings", 1 << 24},
                                                         {"num_attention_heads", 1 << 10},
                                                         {"num_key_value_heads", 1 << 10},
                                                         {"head_dim", 1 << 10},
                                                         {"linear_num_key_heads", 1 << 10},
                                                         {"linear_num_value_heads", 1 << 10},
                                                         {"linear_conv_kernel_dim", 16}}) {
    const std::string path = fmt::format("/{}", field);
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, most + 1, INT64_MAX, INT64_MIN}) {
      bad.push_back({path, value, fmt::format("{} is {}, not between 1 and {}", field, value, most)});
    }
    bad.push_back(
        {path, std::uint64_t{1} << 63, std::string(field) + " is 9223372036854775808, which is too large"});
    bad.push_back({path, 1.5, std::string(field) + " is not a whole number"});
    bad.push_back({path, "64", std::string(field) + " is not a whole number"});
    bad.push_back({path, nullptr, std::string(field) + " is missing"});
  }
  const std::vector<BadField> others = {
      {"/model_type", "llama", "model_type is \"llama\"; Lattice runs qwen3_5 and qwen3_5_text"},
      {"/model_type", "a\x7f\x1b[2Jb",
       "model_type is \"a\\x7f\\x1b[2Jb\"; Lattice runs qwen3_5 and qwen3_5_text"},
      {"/model_type", nullptr, "model_type is missing; Lattice runs qwen3_5 and qwen3_5_text"},
      {"/model_type", 5, "model_type is not a string"},
      {"/model_type", "qwen3_5_moe_text",
       "model_type is \"qwen3_5_moe_text\": Lattice runs the dense models of the Qwen3.5 family, not its "
       "mixtures of "
       "experts"},
      {"/attention_bias", true,
       "attention_bias is true, which no Qwen3.5 model has and Lattice does not compute"},
      {"/attn_output_gate", false,
       "attn_output_gate is false, which no Qwen3.5 model has and Lattice does not compute"},
      {"/attn_output_gate", 1, "attn_output_gate is not true or false"},
      {"/hidden_act", "gelu", "hidden_act is \"gelu\", not silu"},
      {"/mtp_num_hidden_layers", -1, "mtp_num_hidden_layers is -1, not between 0 and 1024"},
      {"/mtp_num_hidden_layers", INT64_MAX,
       "mtp_num_hidden_layers is 9223372036854775807, not between 0 and 1024"},
      {"/mtp_num_hidden_layers", "1", "mtp_num_hidden_layers is not a whole number"},
      {"/quantization_config",
       {{"quant_method", "gptq"}},
       "quantization_config.quant_method is \"gptq\", which Lattice does not read; use the original "
       "checkpoint, "
       "an MLX "
       "conversion or a GGUF file"},
      {"/quantization_config", 4, "quantization_config is not an object"},
      {"/num_hidden_layers", 0, "num_hidden_layers is 0, not between 1 and 1024"},
      {"/num_hidden_layers", 1025, "num_hidden_layers is 1025, not between 1 and 1024"},
      {"/num_hidden_layers", 4, "layer_types has 3 entries for num_hidden_layers 4"},
      {"/layer_types", "linear_attention", "layer_types is not an array"},
      {"/layer_types/1", "sliding_attention",
       "layer_types[1] is neither \"linear_attention\" nor \"full_attention\""},
      {"/layer_types/2", 7, "layer_types[2] is neither \"linear_attention\" nor \"full_attention\""},
      {"/num_key_value_heads", 3, "num_attention_heads is 4, not a multiple of num_key_value_heads 3"},
      {"/linear_num_key_heads", 4, "linear_num_value_heads is 6, not a multiple of linear_num_key_heads 4"},
      {"/linear_value_head_dim", 32,
       "linear_value_head_dim is 32, but linear_key_head_dim is 16: Lattice wants them equal"},
      {"/linear_conv_kernel_dim", 1, "linear_conv_kernel_dim is 1, which is no convolution"},
      {"/rope_parameters", "default", "rope_parameters is not an object"},
      {"/rope_parameters/rope_type", "yarn",
       "rope_parameters.rope_type is \"yarn\"; Lattice computes the default rotary embedding alone"},
      {"/rope_parameters/type", "linear",
       "rope_parameters.type is \"linear\"; Lattice computes the default rotary embedding alone"},
      {"/rope_parameters/rope_theta", "big", "rope_parameters.rope_theta is not a number"},
      {"/rope_parameters/rope_theta", 0.5, "rope_theta is 0.5, not between 1 and 1e15"},
      {"/rope_parameters/rope_theta", 2e15, "rope_theta is 2000000000000000, not between 1 and 1e15"},
      {"/rope_parameters/partial_rotary_factor", 0,
       "rope_parameters.partial_rotary_factor is 0, not above 0 and at most 1"},
      {"/rope_parameters/partial_rotary_factor", 1.25,
       "rope_parameters.partial_rotary_factor is 1.25, not above 0 and at most 1"},
      {"/rope_parameters/partial_rotary_factor", 0.1,
       "partial_rotary_factor makes 3 rotated dimensions, not an even number between 2 and the head's 32"},
      {"/rope_parameters/partial_rotary_factor", 0.01,
       "partial_rotary_factor makes 0 rotated dimensions, not an even number between 2 and the head's 32"},
      {"/rms_norm_eps", 0, "rms_norm_eps is 0, not above 0 and at most 1"},
      {"/rms_norm_eps", -1e-6, "rms_norm_eps is -1e-06, not above 0 and at most 1"},
      {"/rms_norm_eps", 1.5, "rms_norm_eps is 1.5, not above 0 and at most 1"},
      {"/rms_norm_eps", "small", "rms_norm_eps is not a number"},
      {"/tie_word_embeddings", "yes", "tie_word_embeddings is not true or false"},
      {"/eos_token_id", 201, "eos_token_id is 201, outside the vocabulary of 201"},
      {"/eos_token_id", {{"id", 1}}, "eos_token_id is not a whole number"},
  };
  bad.insert(bad.end(), others.begin(), others.end());
  return bad;
}

INSTANTIATE_TEST_SUITE_P(All, BadConfigJson, testing::ValuesIn(bad_fields()));

TEST(ConfigJson, TheLargestDimensionsAreAllowed) {
  Json config = flat();
  config["hidden_size"] = 1 << 17;
  config["intermediate_size"] = 1 << 20;
  config["vocab_size"] = 1 << 24;
  config["max_position_embeddings"] = 1 << 24;
  for (const char* heads : {"num_attention_heads", "num_key_value_heads", "head_dim", "linear_num_key_heads",
                            "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim"}) {
    config[heads] = 1 << 10;
  }
  config["linear_conv_kernel_dim"] = 16;
  config["num_hidden_layers"] = 1024;
  config.erase("layer_types");
  const Config read_config = read(config);
  EXPECT_GT(read_config.state_bytes(), 0);
  EXPECT_GT(read_config.kv_bytes_per_token(4) * read_config.max_position_embeddings, 0);
}

}  // namespace
}  // namespace lattice
