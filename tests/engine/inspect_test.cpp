#include "engine/inspect.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "engine/fixtures.h"
#include "lattice/model.hpp"

namespace lattice {
namespace {

std::int64_t count(const CheckpointInfo& info, TensorUse use) {
  return std::count_if(info.tensors.begin(), info.tensors.end(),
                       [use](const TensorInfo& tensor) { return tensor.use == use; });
}

CheckpointInfo inspect_case(const std::string& name) {
  return inspect(golden::find_case(name).model);
}

TEST(Inspect, DescribesTheShippedModel) {
  const CheckpointInfo info = inspect(golden::shipped_model_path());
  EXPECT_EQ(info.format, "Hugging Face safetensors");
  EXPECT_EQ(info.architecture, "Qwen3_5ForCausalLM");
  EXPECT_EQ(info.config.hidden_size, 512);
  EXPECT_EQ(count(info, TensorUse::kDecoder), static_cast<std::int64_t>(info.tensors.size()));
  EXPECT_EQ(info.decoder_bytes, info.total_bytes);
  // Six linear layers of 4 heads of 128 × 128 and a tail of 3 rows of 2 · 2 · 128 + 4 · 128 channels; two
  // full layers of 2 heads of 256, keys and values.
  EXPECT_EQ(info.state_bytes, 6 * (4 * 128 * 128 + 3 * 1024) * 4);
  EXPECT_EQ(info.kv_bytes_per_token_f32, 2 * 2 * 2 * 256 * 4);
  EXPECT_EQ(info.kv_bytes_per_token_f16, info.kv_bytes_per_token_f32 / 2);
  EXPECT_FLOAT_EQ(info.sampling.temperature, 0.7f);
}

TEST(Inspect, CountsEveryParameterOnce) {
  // All of the file's elements (125,368): the head is its own here.
  EXPECT_EQ(inspect_case("base").parameters, 125368);
  // However they are stored: GGUF has the same shapes, MLX packs several into a word.
  EXPECT_EQ(inspect_case("base_gguf").parameters, 125368);
  EXPECT_EQ(inspect_case("base_mlx").parameters, 125368);
  // The shipped model's embedding is its head as well. BF16 throughout, but for the F32 that the file names.
  const CheckpointInfo shipped = inspect(golden::shipped_model_path());
  std::int64_t elements = 0;
  for (const TensorInfo& tensor : shipped.tensors) elements += tensor.bytes / (tensor.type == "F32" ? 4 : 2);
  EXPECT_EQ(shipped.parameters, elements);
}

TEST(Inspect, TellsWhatTheDecoderIgnores) {
  const CheckpointInfo info = inspect_case("nested_v_per_k_3");
  EXPECT_EQ(count(info, TensorUse::kVision), 2);
  EXPECT_EQ(count(info, TensorUse::kDraft), 2);
  EXPECT_EQ(count(info, TensorUse::kOther), 0);
  std::int64_t ignored = 0;
  for (const TensorInfo& tensor : info.tensors) {
    const bool is_vision = tensor.name.starts_with("model.visual.");
    const bool is_draft = tensor.name.starts_with("mtp.");
    EXPECT_EQ(tensor.use, is_vision  ? TensorUse::kVision
                          : is_draft ? TensorUse::kDraft
                                     : TensorUse::kDecoder)
        << tensor.name;
    EXPECT_EQ(tensor.is_ignored, is_vision || is_draft) << tensor.name;
    if (is_vision || is_draft) ignored += tensor.bytes;
  }
  EXPECT_GT(ignored, 0);
  EXPECT_EQ(info.decoder_bytes + ignored, info.total_bytes);
}

TEST(Inspect, TellsOfTheHeadThatGuessesAhead) {
  for (const char* name : {"mtp", "mtp_gguf"}) {
    const CheckpointInfo info = inspect_case(name);
    EXPECT_EQ(count(info, TensorUse::kDraft), 15) << name;
    std::int64_t draft = 0;
    for (const TensorInfo& tensor : info.tensors) {
      EXPECT_FALSE(tensor.is_ignored) << tensor.name;
      if (tensor.use == TensorUse::kDraft) draft += tensor.bytes;
    }
    EXPECT_EQ(info.mtp_bytes, draft) << name;
    EXPECT_EQ(info.decoder_bytes + draft, info.total_bytes) << name;
  }
  EXPECT_EQ(inspect_case("base").mtp_bytes, 0);
  EXPECT_EQ(inspect_case("nested_v_per_k_3").mtp_bytes, 0);
}

TEST(Inspect, NamesTheFormats) {
  EXPECT_EQ(inspect_case("base_gguf").format, "GGUF");
  EXPECT_EQ(inspect_case("base_gguf").architecture, "qwen35");
  EXPECT_EQ(inspect_case("base_mlx").format, "MLX safetensors");
}

TEST(Inspect, AgreesWithTheLoadedModelAboutTheBytesOfAToken) {
  for (const golden::Case& one : golden::cases()) {
    const CheckpointInfo info = inspect(one.model);
    LoadOptions options;
    for (const auto& [precision, bytes] :
         {std::pair(KvPrecision::kF32, 4), std::pair(KvPrecision::kF16, 2)}) {
      options.kv = precision;
      const Model model = Model::load(one.model, options);
      for (const std::int64_t context : {0, 1, 1000}) {
        EXPECT_EQ(info.bytes_per_token(context, bytes), model.bytes_per_token(context)) << one.name;
      }
    }
    EXPECT_EQ(info.bytes_per_token(0, 4),
              info.weight_bytes_per_token + 2 * info.state_bytes + info.kv_bytes_per_token_f32);
    EXPECT_EQ(info.bytes_per_token(100, 2) - info.bytes_per_token(0, 2), 100 * info.kv_bytes_per_token_f16);
  }
}

TEST(Inspect, PredictsFromTheBandwidth) {
  const CheckpointInfo info = inspect_case("base");
  const auto bytes = static_cast<double>(info.bytes_per_token(10, 4));
  EXPECT_DOUBLE_EQ(info.predicted_rate(1e9, 10, 4), 1e9 / bytes);
  for (const double bandwidth : {0.0, -1.0, HUGE_VAL, std::nan("")}) {
    expect_error(Error::Kind::kUsage, {"bandwidth"}, [&] { (void)info.predicted_rate(bandwidth, 0, 4); });
  }
}

TEST(Inspect, AMissingTokenizerIsPartOfTheAnswer) {
  const CheckpointInfo info = inspect_case("base");
  EXPECT_FALSE(info.tokenizer_size);
  EXPECT_NE(info.tokenizer_problem, "");
  EXPECT_FALSE(info.has_chat_template);
  const CheckpointInfo shipped = inspect(golden::shipped_model_path());
  EXPECT_EQ(shipped.tokenizer_size, 8192);
  EXPECT_EQ(shipped.tokenizer_problem, "");
}

TEST(Inspect, RefusesWhatLoadRefuses) {
  const CheckpointCopy copy(golden::find_case("base").model);
  copy.configure([](nlohmann::json& config) { config["hidden_size"] = 65; });
  expect_error(Error::Kind::kInput, {copy.path().string()}, [&] { (void)inspect(copy.path()); });
  expect_error(Error::Kind::kInput, {"/no/such/model"}, [] { (void)inspect("/no/such/model"); });
}

}  // namespace
}  // namespace lattice
