#include "model/weights.h"

#include <cstring>
#include <deque>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "formats/fixtures.h"
#include "formats/memory_checkpoint.h"
#include "model/golden.h"
#include "support/float16.h"

namespace lattice {
namespace {

using Json = nlohmann::json;
using Shape = std::vector<std::int64_t>;

/// A checkpoint of tests/data/model whose tensors and config a test may spoil.
class Spoiled {
 public:
  explicit Spoiled(const std::string& name)
      : source_(Checkpoint::open(golden::find_case(name).model)),
        tensors_(source_->tensors().begin(), source_->tensors().end()) {
    if (source_->config_json() != nullptr) config = *source_->config_json();
  }

  Tensor& tensor(const std::string& name) {
    for (Tensor& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    throw Error("no tensor " + name);
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const Tensor& tensor) { return tensor.name == name; });
  }
  void remove_all(const std::string& prefix) {
    std::erase_if(tensors_, [&](const Tensor& tensor) { return tensor.name.starts_with(prefix); });
  }
  /// Overwrites the bytes of a tensor from `at` on.
  template <typename T>
  void poke(const std::string& name, std::size_t at, T value) {
    Tensor& changed = tensor(name);
    auto& copy = copies_.emplace_back(changed.data.begin(), changed.data.end());
    std::memcpy(copy.data() + at, &value, sizeof value);
    changed.data = copy;
  }

  Weights bind(Weights::ValueCheck check = Weights::ValueCheck::kAll) const {
    const auto bind_to = [&](const Checkpoint& checkpoint) {
      return Weights::bind(checkpoint, Config::from(checkpoint), check);
    };
    if (source_->gguf() != nullptr) {
      return bind_to(MemoryCheckpoint("m", GgufMetadata("m", source_->gguf()->all()), tensors_));
    }
    return bind_to(MemoryCheckpoint("m", source_->kind(), config, std::nullopt, tensors_));
  }
  std::string error(Weights::ValueCheck check = Weights::ValueCheck::kAll) const {
    return error_of([&] { (void)bind(check); });
  }

  Json config;

 private:
  std::unique_ptr<Checkpoint> source_;
  std::vector<Tensor> tensors_;
  std::deque<std::vector<std::byte>> copies_;
};

/// Every tensor that a decoder of this shape needs, missing in turn.
TEST(Weights, EveryTensorIsNeeded) {
  for (const std::string name : {"base", "base_gguf", "base_mlx", "mtp", "mtp_gguf"}) {
    const auto checkpoint = Checkpoint::open(golden::find_case(name).model);
    for (const Tensor& tensor : checkpoint->tensors()) {
      Spoiled model(name);
      model.remove(tensor.name);
      const std::string message = model.error();
      const bool is_head = tensor.name == "output.weight" || tensor.name.find("lm_head") != std::string::npos;
      if (tensor.name == "output.weight") {  // then the file means the embedding
        EXPECT_EQ(message, "");
      } else if (is_head && tensor.name.ends_with(".weight")) {
        EXPECT_NE(message.find("the checkpoint has no lm_head.weight"), std::string::npos) << message;
      } else if (tensor.name.find("embed_tokens.weight") != std::string::npos) {
        EXPECT_NE(message.find("tensor embed_tokens.weight is missing (looked under"), std::string::npos)
            << message;
      } else {
        EXPECT_EQ(message, fmt::format("m: tensor {} is missing", tensor.name));
      }
    }
  }
}

/// Every tensor with one row more than it should have.
TEST(Weights, EveryShapeIsChecked) {
  for (const std::string name : {"base", "base_gguf", "base_mlx", "mtp", "mtp_gguf"}) {
    const auto checkpoint = Checkpoint::open(golden::find_case(name).model);
    for (const Tensor& tensor : checkpoint->tensors()) {
      if (tensor.name == "token_embd.weight") continue;  // its rows are what says how many tokens there are
      Spoiled model(name);
      ++model.tensor(tensor.name).shape[0];
      const std::string message = model.error();
      EXPECT_TRUE(message.starts_with(fmt::format("m: tensor {} is [", tensor.name)) ||
                  message.find("model is ") != std::string::npos)
          << tensor.name << ": " << message;
    }
  }
}

TEST(Weights, MessagesSayWhichShapeIsWanted) {
  Spoiled model("base");
  model.tensor("model.layers.0.mlp.up_proj.weight").shape = {64, 32};
  EXPECT_EQ(model.error(), "m: tensor model.layers.0.mlp.up_proj.weight is [64, 32], not [32, 64]");
  Spoiled conv("base");
  conv.tensor("model.layers.1.linear_attn.conv1d.weight").shape = {160, 4};
  EXPECT_EQ(conv.error(), "m: tensor model.layers.1.linear_attn.conv1d.weight is [160, 4], not [160, 1, 4]");
}

TEST(Weights, TypesAreChecked) {
  Spoiled matrix("base");
  matrix.tensor("model.layers.0.mlp.up_proj.weight").dtype = std::nullopt;
  matrix.tensor("model.layers.0.mlp.up_proj.weight").type_name = "I64";
  EXPECT_EQ(matrix.error(),
            "m: tensor model.layers.0.mlp.up_proj.weight is of type I64, which Lattice does not read");
  Spoiled vector("base");
  vector.tensor("model.norm.weight").dtype = DType::kQ8_0;
  vector.tensor("model.norm.weight").type_name = "Q8_0";
  EXPECT_EQ(vector.error(), "m: tensor model.norm.weight is of type Q8_0, not F32, F16 or BF16");
}

TEST(Weights, NormsGetTheirOneAndDecayItsExponential) {
  const Spoiled model("base");
  const Weights weights = model.bind();
  const auto source = Checkpoint::open(golden::find_case("base").model);
  const auto first = [&](const char* name, DType dtype) {
    float value = 0;
    const std::int64_t n = block_elements(dtype);
    dequantize_row({dtype, 1, n, source->find(name)->data.data(), {}}, 0, std::span(&value, 1));
    return value;
  };
  EXPECT_EQ(weights.final_norm[0], 1 + first("model.norm.weight", DType::kBF16));
  EXPECT_EQ(weights.layers[0].mixer_norm[0],
            1 + first("model.layers.0.input_layernorm.weight", DType::kBF16));
  const auto& mixer = std::get<LinearMixer>(weights.layers[0].mixer);
  EXPECT_EQ(mixer.norm[0], first("model.layers.0.linear_attn.norm.weight", DType::kF32));
  EXPECT_FLOAT_EQ(mixer.decay_rate[0], -std::exp(first("model.layers.0.linear_attn.A_log", DType::kF32)));
}

TEST(Weights, SmallTensorsMustBeFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const char* name : {"linear_attn.norm.weight", "linear_attn.A_log"}) {
      Spoiled model("base");
      const std::string full = fmt::format("model.layers.1.{}", name);
      model.poke(full, 4, bad);
      EXPECT_EQ(model.error(Weights::ValueCheck::kSmall),
                fmt::format("m: tensor {} has a value that is not finite at 1", full));
    }
  }
}

TEST(Weights, DecayMustNotGrow) {
  Spoiled model("base");
  model.poke("model.layers.0.linear_attn.A_log", 0, 1000.0f);
  EXPECT_EQ(model.error(),
            "m: tensor model.layers.0.linear_attn.A_log makes the decay rate -inf of head 0, not a finite "
            "number of "
            "at most 0");
  Spoiled gguf("base_gguf");
  gguf.poke("blk.0.ssm_a", 8, 0.25f);
  EXPECT_EQ(gguf.error(),
            "m: tensor blk.0.ssm_a makes the decay rate 0.25 of head 2, not a finite number of at most 0");
}

TEST(Weights, MatricesMustBeFiniteWhereThatIsAsked) {
  Spoiled floats("base");
  floats.poke("model.layers.0.mlp.up_proj.weight", 2 * (64 * 5 + 63), std::uint16_t{0x7fc0});
  const std::string expected =
      "m: tensor model.layers.0.mlp.up_proj.weight has a value that is not finite in row 5";
  EXPECT_EQ(floats.error(), expected);
  EXPECT_EQ(floats.error(Weights::ValueCheck::kSmall), "");

  struct Scale {
    const char* tensor;
    std::size_t block_bytes;
    std::size_t at;
  };
  // Q8_0, Q4_0 and the two of Q4_1 and Q5_1; rows of 64 and 96 have two and three blocks.
  for (const auto& [tensor, block_bytes, at] :
       {Scale{"attn_qkv", 34, 0}, Scale{"ffn_gate", 18, 0}, Scale{"ssm_out", 20, 0}, Scale{"ssm_out", 20, 2},
        Scale{"attn_gate", 24, 0}, Scale{"attn_gate", 24, 2}}) {
    Spoiled quantised("base_gguf");
    const std::string name = fmt::format("blk.0.{}.weight", tensor);
    const auto blocks_a_row = static_cast<std::size_t>(quantised.tensor(name).shape[1]) / 32;
    quantised.poke(name, (3 * blocks_a_row + blocks_a_row - 1) * block_bytes + at, std::uint16_t{0x7c01});
    EXPECT_EQ(quantised.error(), fmt::format("m: tensor {} has a scale that is not finite in row 3", name));
  }
  Spoiled mlx("base_mlx");
  const std::string scales = "language_model.model.layers.0.mlp.up_proj.scales";
  mlx.poke(scales, 2, std::uint16_t{0x7f80});
  EXPECT_NE(mlx.error().find("layers.0.mlp.up_proj.weight has a scale that is not finite in row "),
            std::string::npos)
      << mlx.error();
}

TEST(Weights, RowsAreMadeOfWholeBlocks) {
  Spoiled model("v_per_k_1");  // intermediate size 28
  Tensor& down = model.tensor("model.layers.0.mlp.down_proj.weight");
  down.dtype = DType::kQ8_0;
  down.type_name = "Q8_0";
  EXPECT_EQ(model.error(),
            "m: tensor model.layers.0.mlp.down_proj.weight has rows of 28, not a multiple of the 32 that "
            "Q8_0 stores "
            "together");
}

TEST(WeightsMtp, AHeadIsThereOrNot) {
  EXPECT_TRUE(Spoiled("mtp").bind().mtp.has_value());
  EXPECT_TRUE(Spoiled("mtp_gguf").bind().mtp.has_value());
  EXPECT_FALSE(Spoiled("base").bind().mtp.has_value());
  // Conversions leave the tensors out and the config as it was.
  Spoiled converted("mtp");
  converted.remove_all("mtp.");
  EXPECT_FALSE(converted.bind().mtp.has_value());
  Spoiled gguf("mtp_gguf");
  gguf.remove_all("blk.2.");
  EXPECT_FALSE(gguf.bind().mtp.has_value());
  // A config that speaks of none, or of one of another kind, and tensors that are left alone.
  for (const Json& change :
       {Json{{"mtp_num_hidden_layers", 0}}, Json{{"mtp_num_hidden_layers", nullptr}},
        Json{{"mtp_num_hidden_layers", 2}}, Json{{"mtp_use_dedicated_embeddings", true}}}) {
    Spoiled other("mtp");
    other.config.merge_patch(change);
    other.remove("mtp.norm.weight");
    EXPECT_FALSE(other.bind().mtp.has_value()) << change;
  }
  Spoiled own_embedding("mtp_gguf");
  own_embedding.tensor("blk.2.nextn.enorm.weight").name = "blk.2.nextn.embed_tokens.weight";
  EXPECT_FALSE(own_embedding.bind().mtp.has_value());
}

TEST(WeightsMtp, NamesMayHaveAPrefix) {
  const auto source = Checkpoint::open(golden::find_case("mtp").model);
  for (const char* prefix : {"language_model.", "model."}) {
    Spoiled model("mtp");
    for (const Tensor& tensor : source->tensors()) {
      if (tensor.name.starts_with("mtp.")) model.tensor(tensor.name).name = prefix + tensor.name;
    }
    EXPECT_TRUE(model.bind().mtp.has_value()) << prefix;
  }
}

TEST(WeightsMtp, NormsGetTheirOneInAllFormats) {
  const auto source = Checkpoint::open(golden::find_case("mtp").model);
  const Weights hugging_face = Spoiled("mtp").bind();
  const Weights gguf = Spoiled("mtp_gguf").bind();
  const auto first = [&](const char* name) {
    float value = 0;
    dequantize_row({DType::kBF16, 1, 1, source->find(name)->data.data(), {}}, 0, std::span(&value, 1));
    return value;
  };
  for (const Weights* weights : {&hugging_face, &gguf}) {
    EXPECT_EQ(weights->mtp->embed_norm[0], 1 + first("mtp.pre_fc_norm_embedding.weight"));
    EXPECT_EQ(weights->mtp->hidden_norm[0], 1 + first("mtp.pre_fc_norm_hidden.weight"));
    EXPECT_EQ(weights->mtp->norm[0], 1 + first("mtp.norm.weight"));
    EXPECT_EQ(weights->mtp->layer.mixer_norm[0], 1 + first("mtp.layers.0.input_layernorm.weight"));
  }
  // The decoder's own count is without the head.
  const Spoiled with("mtp");
  Spoiled without("mtp");
  without.remove_all("mtp.");
  EXPECT_EQ(with.bind().bytes_per_token(), without.bind().bytes_per_token());
  EXPECT_EQ(with.bind().parameters(), without.bind().parameters());
}

TEST(WeightsMtp, ItsMatricesAreLookedIntoWhereItIsUsed) {
  using Check = Weights::ValueCheck;
  Spoiled model("mtp");
  model.poke("mtp.fc.weight", 2 * (128 * 3 + 1), std::uint16_t{0x7f80});
  EXPECT_EQ(model.error(Check::kAll), "m: tensor mtp.fc.weight has a value that is not finite in row 3");
  EXPECT_EQ(model.error(Check::kDecoder), "");
  Spoiled decoder("mtp");
  decoder.poke("model.layers.0.mlp.up_proj.weight", 0, std::uint16_t{0x7f80});
  EXPECT_NE(decoder.error(Check::kDecoder), "");
  Spoiled norm("mtp");
  norm.poke("mtp.norm.weight", 0, std::uint16_t{0x7f80});
  EXPECT_NE(norm.error(Check::kSmall), "");
}

struct BadQuantization {
  Json change;  // merged into config.json
  std::string message;
};

TEST(WeightsMlx, SettingsAreChecked) {
  for (const auto& [change, message] : std::vector<BadQuantization>{
           {{{"quantization", {{"bits", 7}}}}, "quantization.bits is 7, not one of 2, 3, 4, 5, 6, 8"},
           {{{"quantization", {{"bits", "4"}}}}, "quantization.bits is \"4\", not one of 2, 3, 4, 5, 6, 8"},
           {{{"quantization", {{"bits", {"\x7f"}}}}},
            "quantization.bits is of type array, not one of 2, 3, 4, 5, 6, 8"},
           {{{"quantization", {{"bits", nullptr}}}}, "quantization.bits is missing"},
           {{{"quantization", {{"group_size", 16}}}},
            "quantization.group_size is 16, not one of 32, 64, 128"},
           {{{"quantization", {{"mode", "mxfp4"}}}}, "quantization.mode is not \"affine\""}}) {
    Spoiled model("base_mlx");
    for (auto& [name, own] : model.config["quantization"].items()) {
      if (own.is_object()) own = nullptr;  // no matrix has settings of its own
    }
    model.config.merge_patch(change);
    EXPECT_EQ(model.error(), fmt::format("m/config.json: {}", message));
  }
}

TEST(WeightsMlx, PackedShapesAndSideArraysAreChecked) {
  const std::string path = "language_model.model.layers.0.mlp.up_proj.";
  Spoiled words("base_mlx");
  ++words.tensor(path + "weight").shape[1];
  EXPECT_NE(words.error().find("up_proj.weight is ["), std::string::npos) << words.error();
  EXPECT_NE(words.error().find(" bits make of [32, 64]"), std::string::npos) << words.error();
  Spoiled groups("base_mlx");
  ++groups.tensor(path + "biases").shape[1];
  EXPECT_NE(groups.error().find("up_proj.biases is ["), std::string::npos) << groups.error();
  Spoiled type("base_mlx");
  type.tensor(path + "scales").dtype = DType::kQ8_0;
  EXPECT_NE(type.error().find("up_proj.scales is of type"), std::string::npos) << type.error();
  Spoiled mixed("base_mlx");
  mixed.tensor(path + "biases").dtype =
      mixed.tensor(path + "scales").dtype == DType::kF16 ? DType::kBF16 : DType::kF16;
  EXPECT_NE(mixed.error().find("up_proj.biases is of type"), std::string::npos) << mixed.error();
}

}  // namespace
}  // namespace lattice
