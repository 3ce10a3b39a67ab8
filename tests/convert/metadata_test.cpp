#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "convert/convert.h"
#include "convert/test_models.h"
#include "model/golden.h"
#include "text/tokenizer_data.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// A model directory that a test may change, and the GGUF file made of it.
class Converted {
 public:
  explicit Converted(const fs::path& from) { fs::copy(from, model()); }
  /// A small model with the shipped one's tokenizer.
  Converted() {
    fs::create_directory(model());
    write_small_story(model());
  }

  [[nodiscard]] fs::path model() const { return directory_.path() / "Story-27M"; }
  void write(const char* name, const Json& json) const { write_file(model() / name, json.dump()); }
  [[nodiscard]] Json read(const char* name) const { return golden::read_json(model() / name); }

  /// Converts, and returns the metadata.
  const GgufMetadata& run(DType type = DType::kQ8_0) {
    const fs::path out = directory_.path() / "out.gguf";
    report_ = convert_to_gguf(*Checkpoint::open(model()), out, {.type = type, .threads = 2});
    checkpoint_ = Checkpoint::open(out);
    return *checkpoint_->gguf();
  }
  [[nodiscard]] std::string error() {
    return error_of([this] { (void)run(); });
  }
  [[nodiscard]] const Checkpoint& checkpoint() const { return *checkpoint_; }
  [[nodiscard]] bool warns_of(std::string_view text) const {
    return std::ranges::any_of(report_.warnings, [&](const std::string& warning) {
      return warning.find(text) != std::string::npos;
    });
  }

 private:
  TemporaryDirectory directory_;
  ConvertReport report_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

/// Everything that llama.cpp's loader asks for (src/models/qwen35.cpp, load_arch_hparams;
/// src/llama-vocab.cpp), in the types that it asks for.
TEST(ConvertMetadata, HasEveryKeyThatLlamaCppWants) {
  Converted story(golden::shipped_model_path());
  const GgufMetadata& metadata = story.run();
  EXPECT_EQ(metadata.get_string("general.architecture"), "qwen35");
  EXPECT_EQ(metadata.get_string("general.type"), "model");
  EXPECT_EQ(metadata.get_string("general.name"), "Story-27M");
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::int64_t>>{{"general.file_type", 7},
                                                         {"general.quantization_version", 2},
                                                         {"qwen35.block_count", 8},
                                                         {"qwen35.context_length", 4096},
                                                         {"qwen35.embedding_length", 512},
                                                         {"qwen35.feed_forward_length", 1024},
                                                         {"qwen35.vocab_size", 8192},
                                                         {"qwen35.attention.head_count", 4},
                                                         {"qwen35.attention.head_count_kv", 2},
                                                         {"qwen35.attention.key_length", 256},
                                                         {"qwen35.attention.value_length", 256},
                                                         {"qwen35.rope.dimension_count", 64},
                                                         {"qwen35.ssm.conv_kernel", 4},
                                                         {"qwen35.ssm.state_size", 128},
                                                         {"qwen35.ssm.group_count", 2},
                                                         {"qwen35.ssm.time_step_rank", 4},
                                                         {"qwen35.ssm.inner_size", 512},
                                                         {"qwen35.full_attention_interval", 4},
                                                         {"tokenizer.ggml.eos_token_id", 8187},
                                                         {"tokenizer.ggml.padding_token_id", 8187}}) {
    EXPECT_EQ(metadata.get_int(key), value) << key;
    EXPECT_EQ(metadata.encoded(key).size(), 8u) << key;        // its type, and four bytes
    EXPECT_EQ(metadata.encoded(key)[0], std::byte{4}) << key;  // unsigned
  }
  EXPECT_EQ(metadata.get_float("qwen35.rope.freq_base"), 1e7);
  EXPECT_EQ(metadata.get_float("qwen35.attention.layer_norm_rms_epsilon"), static_cast<double>(1e-6f));
  EXPECT_EQ(*metadata.find_ints("qwen35.rope.dimension_sections"), (GgufMetadata::IntArray{11, 11, 10, 0}));
  EXPECT_EQ(metadata.find_bool("tokenizer.ggml.add_bos_token"), false);
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(metadata.find_int("tokenizer.ggml.eot_token_id"), std::nullopt);
  EXPECT_EQ(metadata.find_int("qwen35.nextn_predict_layers"), std::nullopt);
  EXPECT_EQ(metadata.get_int("general.sampling.top_k"), 40);
  EXPECT_EQ(metadata.get_float("general.sampling.top_p"), static_cast<double>(0.9f));
  EXPECT_EQ(metadata.get_float("general.sampling.temp"), static_cast<double>(0.7f));
}

TEST(ConvertMetadata, FileTypeFollowsTheType) {
  Converted model(golden::find_case("base").model);
  for (const auto& [type, number] : std::vector<std::pair<DType, int>>{
           {DType::kF32, 0}, {DType::kF16, 1}, {DType::kQ4_0, 2}, {DType::kQ8_0, 7}, {DType::kBF16, 32}}) {
    EXPECT_EQ(model.run(type).get_int("general.file_type"), number);
  }
}

TEST(ConvertMetadata, TheTokenizerComesBackAsItWas) {
  Converted story;
  (void)story.run();
  const TokenizerData expected = TokenizerData::from_json(story.model() / "tokenizer.json");
  const TokenizerData actual = TokenizerData::from_gguf(story.checkpoint());
  EXPECT_EQ(actual.tokens, expected.tokens);
  EXPECT_EQ(actual.types, expected.types);
  EXPECT_EQ(actual.pre_tokenizer, expected.pre_tokenizer);
  EXPECT_EQ(actual.normalizer, expected.normalizer);
  EXPECT_EQ(actual.eos_id, expected.eos_id);
  EXPECT_EQ(actual.pad_id, expected.pad_id);
  ASSERT_EQ(actual.merges.size(), expected.merges.size());
  for (std::size_t i = 0; i < actual.merges.size(); ++i) {
    ASSERT_EQ(actual.merges[i].left, expected.merges[i].left) << i;
    ASSERT_EQ(actual.merges[i].right, expected.merges[i].right) << i;
    ASSERT_EQ(actual.merges[i].result, expected.merges[i].result) << i;
  }
  ASSERT_EQ(actual.added_tokens.size(), expected.added_tokens.size());
  for (std::size_t i = 0; i < actual.added_tokens.size(); ++i) {
    EXPECT_EQ(actual.added_tokens[i].id, expected.added_tokens[i].id);
    EXPECT_EQ(actual.added_tokens[i].special, expected.added_tokens[i].special);
  }
}

/// The rows of the embedding that no token has, as in every released model.
TEST(ConvertMetadata, RowsWithoutATokenGetOneThatMatchesNothing) {
  Converted story;
  Json tokenizer = story.read("tokenizer.json");
  tokenizer["added_tokens"].erase(4);  // </think>, the last id
  tokenizer["added_tokens"][3]["content"] = "[PAD8191]";
  story.write("tokenizer.json", tokenizer);
  const auto& tokens = story.run().get_strings("tokenizer.ggml.tokens");
  ASSERT_EQ(tokens.size(), 8192u);
  EXPECT_EQ(tokens[8190], "[PAD8191]");
  EXPECT_EQ(tokens[8191], "[PAD8191]]");
  EXPECT_EQ(TokenizerData::from_gguf(story.checkpoint()).types[8191], TokenType::kUnused);
}

TEST(ConvertMetadata, MoreTokensThanRowsIsAnError) {
  Converted model(golden::find_case("base").model);  // 201 rows
  fs::copy(golden::shipped_model_path() / "tokenizer.json", model.model());
  const std::string message = model.error();
  EXPECT_NE(message.find("tokenizer.json: it has 8192 tokens, more than the model's vocab_size 201"),
            std::string::npos)
      << message;
}

TEST(ConvertMetadata, AModelWithoutATokenizerSaysSo) {
  Converted model(golden::find_case("nested_v_per_k_3").model);
  const GgufMetadata& metadata = model.run();
  EXPECT_EQ(metadata.get_string("tokenizer.ggml.model"), "none");
  EXPECT_TRUE(model.warns_of("the model has no tokenizer.json, so the result takes token ids alone"));
  EXPECT_EQ(metadata.get_int("tokenizer.ggml.eos_token_id"), 0);  // both of generation_config.json
  EXPECT_EQ(metadata.get_int("tokenizer.ggml.eot_token_id"), 7);
}

TEST(ConvertMetadata, TheTokenizersOwnEndStandsFirst) {
  Converted story;
  Json generation = story.read("generation_config.json");
  generation["eos_token_id"] = {8187, 8189, 8188};
  story.write("generation_config.json", generation);
  Json config = story.read("tokenizer_config.json");
  config["eos_token"] = "<|im_end|>";
  story.write("tokenizer_config.json", config);
  const GgufMetadata& metadata = story.run();
  EXPECT_EQ(metadata.get_int("tokenizer.ggml.eos_token_id"), 8189);
  EXPECT_EQ(metadata.get_int("tokenizer.ggml.eot_token_id"), 8187);
  EXPECT_TRUE(story.warns_of("token 8188 ends a text too, but GGUF has room for two such tokens"));
}

TEST(ConvertMetadata, WhatGgufCannotSayIsAWarning) {
  Converted story;
  (void)story.run();
  EXPECT_FALSE(story.warns_of("normalizer"));
  Json tokenizer = story.read("tokenizer.json");
  tokenizer["normalizer"] = nullptr;
  tokenizer["added_tokens"][0]["normalized"] = true;
  story.write("tokenizer.json", tokenizer);
  (void)story.run();
  EXPECT_TRUE(story.warns_of("tokenizer.json has no normalizer"));
  EXPECT_TRUE(story.warns_of("added tokens that are looked for in normalised text"));
}

TEST(ConvertMetadata, SamplingDefaultsAreForThoseWhoSample) {
  Converted story;
  story.write("generation_config.json", {{"do_sample", false}, {"temperature", 0.5}, {"top_k", 3}});
  EXPECT_EQ(story.run().find_float("general.sampling.temp"), std::nullopt);
  story.write("generation_config.json", {{"temperature", 0.5}, {"top_k", "many"}, {"min_p", 1e300}});
  const GgufMetadata& metadata = story.run();
  EXPECT_EQ(metadata.get_float("general.sampling.temp"), 0.5);
  EXPECT_EQ(metadata.find_int("general.sampling.top_k"), std::nullopt);
  EXPECT_EQ(metadata.find_float("general.sampling.min_p"), std::nullopt);
}

TEST(ConvertMetadata, TheChatTemplateIsKept) {
  Converted story;
  EXPECT_EQ(story.run().find_string("tokenizer.chat_template"), std::nullopt);
  Json config = story.read("tokenizer_config.json");
  config["chat_template"] = "{{ a }}";
  story.write("tokenizer_config.json", config);
  EXPECT_EQ(story.run().get_string("tokenizer.chat_template"), "{{ a }}");
  config["chat_template"] = {{{"name", "tool_use"}, {"template", "{{ b }}"}},
                             {{"name", "default"}, {"template", "{{ c }}"}}};
  story.write("tokenizer_config.json", config);
  EXPECT_EQ(story.run().get_string("tokenizer.chat_template"), "{{ c }}");
  write_file(story.model() / "chat_template.jinja",
             "{{ d }}\n");  // goes before the entry, as in transformers
  EXPECT_EQ(story.run().get_string("tokenizer.chat_template"), "{{ d }}\n");
}

TEST(ConvertMetadata, AChatTemplateThatIsNoneIsAnError) {
  Converted story;
  for (const Json& wrong : {Json(7), Json::array({1, 2}), Json::array({{{"name", 1}, {"template", "x"}}})}) {
    Json config = story.read("tokenizer_config.json");
    config["chat_template"] = wrong;
    story.write("tokenizer_config.json", config);
    EXPECT_NE(story.error().find("tokenizer_config.json: chat_template"), std::string::npos) << story.error();
  }
}

TEST(ConvertMetadata, RotarySectionsAreTheFilesOrAThirdEach) {
  Converted model(golden::find_case("base").model);
  const auto sections = [&] { return *model.run().find_ints("qwen35.rope.dimension_sections"); };
  Json config = model.read("config.json");
  config["rope_parameters"]["mrope_section"] = {8, 4, 4};
  model.write("config.json", config);
  EXPECT_EQ(sections(), (GgufMetadata::IntArray{8, 4, 4, 0}));
  config["rope_parameters"].erase("mrope_section");
  model.write("config.json", config);
  EXPECT_EQ(sections(), (GgufMetadata::IntArray{2, 1, 1, 0}));  // 8 rotated dimensions, 4 frequencies
  for (const Json& wrong : {Json({1, 2, 3, 4, 5}), Json({-1}), Json("all"), Json({1.5}), Json({{"t", 1}}),
                            Json({std::int64_t{1} << 40})}) {
    config["rope_parameters"]["mrope_section"] = wrong;
    model.write("config.json", config);
    EXPECT_NE(model.error().find("config.json: rope_parameters/mrope_section is not made of at most four"),
              std::string::npos)
        << wrong;
  }
}

TEST(ConvertMetadata, LayersWithoutAnIntervalAreListed) {
  Converted model(golden::find_case("v_per_k_2").model);  // FLLFL
  const GgufMetadata& metadata = model.run();
  EXPECT_EQ(metadata.find_int("qwen35.full_attention_interval"), std::nullopt);
  EXPECT_EQ(*metadata.find_ints("qwen35.attention.recurrent_layers"),
            (GgufMetadata::IntArray{0, 1, 1, 0, 1}));
}

}  // namespace
}  // namespace lattice
