#include "convert/convert.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "convert/canonical.h"
#include "convert/tensor_plan.h"
#include "convert/test_models.h"
#include "model/reference.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

golden::LoadedModel load(const fs::path& path) {
  return golden::load_model(path);
}

/// Converts the model at `from` and opens what came out.
golden::LoadedModel converted(const fs::path& from, const fs::path& to, const ConvertOptions& options) {
  (void)convert_to_gguf(*Checkpoint::open(from), to, options);
  return load(to);
}

/// Compares every tensor; names the first that differs rather than printing thousands of values.
void expect_same(const canonical::Model& actual, const canonical::Model& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, values] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    const canonical::Values& found = actual.at(name);
    ASSERT_EQ(found.rows, values.rows) << name;
    ASSERT_EQ(found.cols, values.cols) << name;
    for (std::size_t i = 0; i < values.data.size(); ++i) {
      ASSERT_EQ(found.data[i], values.data[i]) << name << ", element " << i;
    }
  }
}

/// Dimensions and switches, V-head order apart.
void expect_same_config(const Config& actual, const Config& expected) {
  EXPECT_EQ(actual.hidden_size, expected.hidden_size);
  EXPECT_EQ(actual.intermediate_size, expected.intermediate_size);
  EXPECT_EQ(actual.vocab_size, expected.vocab_size);
  EXPECT_EQ(actual.max_position_embeddings, expected.max_position_embeddings);
  EXPECT_EQ(actual.layers, expected.layers);
  EXPECT_EQ(actual.attention_heads, expected.attention_heads);
  EXPECT_EQ(actual.kv_heads, expected.kv_heads);
  EXPECT_EQ(actual.head_dim, expected.head_dim);
  EXPECT_EQ(actual.rotary_dim, expected.rotary_dim);
  EXPECT_EQ(actual.rope_theta, expected.rope_theta);
  EXPECT_EQ(actual.linear_k_heads, expected.linear_k_heads);
  EXPECT_EQ(actual.linear_v_heads, expected.linear_v_heads);
  EXPECT_EQ(actual.linear_head_dim, expected.linear_head_dim);
  EXPECT_EQ(actual.conv_kernel, expected.conv_kernel);
  EXPECT_EQ(actual.v_head_order, VHeadOrder::kTiled);
  EXPECT_EQ(actual.rms_norm_eps, static_cast<double>(static_cast<float>(expected.rms_norm_eps)));
  EXPECT_EQ(actual.tie_word_embeddings, expected.tie_word_embeddings);
  EXPECT_EQ(actual.eos_token_ids, expected.eos_token_ids);
}

std::vector<float> logits_of(const golden::LoadedModel& model, std::span<const std::int32_t> ids) {
  const auto backend = make_reference_backend(model.config, model.weights);
  const auto state = backend->new_state(static_cast<std::int64_t>(ids.size()));
  std::vector<float> logits(ids.size() * static_cast<std::size_t>(model.config.vocab_size));
  backend->forward(*state, ids, Backend::Logits::kAll, logits);
  return logits;
}

/// Within 1e-6 of the logits' size: the columns of out_proj are summed in another order, and rms_norm_eps is
/// a binary32 number in GGUF.
void expect_same_logits(const golden::LoadedModel& actual, const golden::LoadedModel& expected,
                        std::span<const std::int32_t> ids) {
  const std::vector<float> a = logits_of(actual, ids), b = logits_of(expected, ids);
  ASSERT_EQ(a.size(), b.size());
  float largest = 1;
  for (const float logit : b) largest = std::max(largest, std::abs(logit));
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6 * largest) << "logit " << i;
}

/// Whether `type` can hold every matrix of the model as it is.
bool is_exact(const golden::LoadedModel& model, DType type) {
  if (type == DType::kF32) return true;
  return std::ranges::all_of(model.checkpoint->tensors(), [&](const Tensor& tensor) {
    return tensor.shape.size() < 2 || tensor.name.ends_with("conv1d.weight") || tensor.dtype == type;
  });
}

TEST(Convert, WeightsAndLogitsComeBackAsTheyWere) {
  const TemporaryDirectory directory;
  int exact_conversions = 0;
  for (const golden::Case& one : golden::cases()) {
    const golden::LoadedModel original = load(one.model);
    for (const DType type : {DType::kF32, DType::kBF16, DType::kF16}) {
      if (!is_exact(original, type)) continue;
      SCOPED_TRACE(one.name + " in " + std::string(dtype_name(type)));
      const golden::LoadedModel back =
          converted(one.model, directory.path() / (one.name + ".gguf"), {.type = type, .threads = 2});
      expect_same_config(back.config, original.config);
      expect_same(canonical::of(back), canonical::of(original));
      expect_same_logits(back, original, one.prompts[3].ids);
      ++exact_conversions;
    }
  }
  EXPECT_GE(exact_conversions, 10);  // seven in F32, and those whose own type is BF16 or F16
}

TEST(Convert, TheShippedModelComesBackAsItWas) {
  const TemporaryDirectory directory;
  const golden::LoadedModel original = load(golden::shipped_model_path());
  for (const DType type : {DType::kBF16, DType::kF32}) {
    const golden::LoadedModel back = converted(golden::shipped_model_path(), directory.path() / "story.gguf",
                                               {.type = type, .threads = 2});
    expect_same_config(back.config, original.config);
    ASSERT_TRUE(canonical::of(back) == canonical::of(original)) << dtype_name(type);
    expect_same_logits(back, original, std::span(golden::shipped().prompts[0].ids).first(4));
  }
}

TEST(Convert, QuantisedMatricesAreThoseOfTheReferenceQuantiser) {
  const TemporaryDirectory directory;
  for (const golden::Case& one : golden::cases()) {
    const canonical::Model original = canonical::of(load(one.model));
    // What is in that type already is not rounded again; base_gguf is looked at by itself.
    if (one.name == "base_gguf") continue;
    for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kBF16, DType::kF16}) {
      SCOPED_TRACE(one.name + " in " + std::string(dtype_name(type)));
      canonical::Model expected = original;
      for (auto& [name, values] : expected) {
        if (canonical::is_matrix(name, values)) values = canonical::stored_as(values, type);
      }
      expect_same(
          canonical::of(converted(one.model, directory.path() / "model.gguf", {.type = type, .threads = 2})),
          expected);
    }
  }
}

/// The blocks that ggml itself makes of these values (tests/data/quant), through the whole converter.
TEST(Convert, BlocksAreBitEqualToGgmls) {
  const TemporaryDirectory directory;
  const fs::path base = golden::find_case("base").model;
  const std::string embed = "model.embed_tokens.weight";
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    const std::string name(dtype_name(type));
    const fs::path data = fs::path(LATTICE_SOURCE_DIR) / "tests" / "data" / "quant";
    const std::string in = file_contents(data / (name + ".in.f32"));
    const std::string out = file_contents(data / (name + ".out"));
    ASSERT_FALSE(out.empty());
    std::vector<float> values = values_of(*Checkpoint::open(base), embed);
    ASSERT_GE(values.size() * sizeof(float), in.size());
    std::memcpy(values.data(), in.data(), in.size());
    copy_model(base, directory.path(), {{embed, values}});
    (void)convert_to_gguf(*Checkpoint::open(directory.path()), directory.path() / "model.gguf",
                          {.type = type, .threads = 2});
    const auto back = Checkpoint::open(directory.path() / "model.gguf");
    const Tensor* tensor = back->find("token_embd.weight");
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->dtype, type);
    ASSERT_GE(tensor->data.size(), out.size());
    EXPECT_EQ(std::memcmp(tensor->data.data(), out.data(), out.size()), 0) << name;
  }
}

TEST(Convert, TheHeadHasATypeOfItsOwn) {
  const TemporaryDirectory directory;
  const ConvertOptions options{.type = DType::kQ4_0, .head_type = DType::kQ8_0, .threads = 2};
  const auto untied = converted(golden::find_case("base").model, directory.path() / "untied.gguf", options);
  EXPECT_EQ(untied.weights.embed.dtype, DType::kQ4_0);
  EXPECT_EQ(untied.weights.head.dtype, DType::kQ8_0);
  EXPECT_EQ(untied.checkpoint->find("output.weight")->type_name, "Q8_0");
  const auto tied =
      converted(golden::find_case("nested_v_per_k_3").model, directory.path() / "tied.gguf", options);
  EXPECT_EQ(tied.weights.embed.dtype, DType::kQ8_0);
  EXPECT_EQ(tied.checkpoint->find("output.weight"), nullptr);
  EXPECT_EQ(tied.weights.layers[0].gate.dtype, DType::kQ4_0);
}

TEST(Convert, SmallTensorsStayInF32AndTheRestTakesTheType) {
  const TemporaryDirectory directory;
  const auto model =
      converted(golden::find_case("base").model, directory.path() / "model.gguf", {.type = DType::kQ8_0});
  for (const Tensor& tensor : model.checkpoint->tensors()) {
    const bool small = tensor.shape.size() == 1 || tensor.name.ends_with("ssm_conv1d.weight");
    const bool whole_blocks = tensor.shape.back() % 32 == 0;
    EXPECT_EQ(tensor.type_name, small ? "F32" : whole_blocks ? "Q8_0" : "F16") << tensor.name;
  }
  EXPECT_EQ(model.checkpoint->find("blk.0.ssm_alpha.weight")->type_name, "Q8_0");
  EXPECT_EQ(model.checkpoint->find("blk.0.ssm_conv1d.weight")->shape.size(), 2u);
}

TEST(Convert, RowsOfPartBlocksFallBackToF16AndAreReported) {
  const TemporaryDirectory directory;
  const fs::path out = directory.path() / "model.gguf";
  const fs::path from = golden::find_case("v_per_k_2").model;  // hidden size 52, intermediate size 36
  const auto report = convert_to_gguf(*Checkpoint::open(from), out, {.type = DType::kQ8_0, .threads = 2});
  const auto model = load(out);
  EXPECT_EQ(model.weights.layers[0].down.dtype, DType::kF16);
  EXPECT_EQ(std::get<FullMixer>(model.weights.layers[0].mixer).o.dtype, DType::kQ8_0);  // rows of 96
  const auto reported = std::ranges::count_if(report.warnings, [](const std::string& warning) {
    return warning.find("is written in F16, not Q8_0") != std::string::npos;
  });
  const auto fallen = std::ranges::count_if(model.checkpoint->tensors(),
                                            [](const Tensor& tensor) { return tensor.dtype == DType::kF16; });
  EXPECT_GT(fallen, 10);
  EXPECT_EQ(reported, fallen);
  const std::string expected =
      "blk.0.ffn_down.weight is written in F16, not Q8_0: its rows of 36 are not made of blocks of 32";
  EXPECT_NE(std::ranges::find(report.warnings, expected), report.warnings.end());
}

TEST(Convert, AnyNumberOfThreadsWritesTheSameFile) {
  const TemporaryDirectory directory;
  const auto source = Checkpoint::open(golden::find_case("base").model);
  std::string first;
  for (const int threads : {1, 2, 5}) {
    (void)convert_to_gguf(*source, directory.path() / "model.gguf",
                          {.type = DType::kQ4_0, .threads = threads});
    const std::string contents = file_contents(directory.path() / "model.gguf");
    if (first.empty()) first = contents;
    EXPECT_TRUE(contents == first) << threads;
  }
}

TEST(Convert, TellsItsProgressAndWhatItWrote) {
  const TemporaryDirectory directory;
  std::int64_t last = 0, total = 0;
  const Progress progress = [&](std::string_view what, std::int64_t done, std::int64_t of) {
    EXPECT_EQ(what, "write");
    EXPECT_GE(done, last);
    EXPECT_LE(done, of);
    last = done;
    total = of;
  };
  const auto report = convert_to_gguf(*Checkpoint::open(golden::find_case("base").model),
                                      directory.path() / "model.gguf", {.threads = 2, .progress = progress});
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, report.tensor_bytes);
  const auto back = Checkpoint::open(directory.path() / "model.gguf");
  std::int64_t bytes = 0;
  for (const Tensor& tensor : back->tensors()) bytes += static_cast<std::int64_t>(tensor.data.size());
  EXPECT_EQ(report.tensor_bytes, bytes);
  EXPECT_EQ(report.tensors, static_cast<std::int64_t>(back->tensors().size()));
}

TEST(ConvertGguf, WhatIsInTheTypeAlreadyIsNotRoundedAgain) {
  const TemporaryDirectory directory;
  const auto source = Checkpoint::open(golden::find_case("base_gguf").model);
  for (const DType type : {DType::kQ8_0, DType::kQ4_0}) {
    (void)convert_to_gguf(*source, directory.path() / "model.gguf", {.type = type, .threads = 2});
    const auto back = Checkpoint::open(directory.path() / "model.gguf");
    int kept = 0;
    for (const Tensor& tensor : source->tensors()) {
      const Tensor* written = back->find(tensor.name);
      ASSERT_NE(written, nullptr) << tensor.name;
      EXPECT_EQ(written->shape, tensor.shape);
      if (tensor.dtype != type) continue;
      ++kept;
      EXPECT_TRUE(std::ranges::equal(written->data, tensor.data)) << tensor.name;
    }
    EXPECT_GE(kept, 2);
  }
}

TEST(ConvertGguf, KeepsMetadataButWhatDescribesTheOtherFile) {
  const TemporaryDirectory directory;
  const fs::path from = directory.path() / "from.gguf", to = directory.path() / "to.gguf";
  const std::vector<std::string_view> tokens{"a", "b\xff"};
  copy_gguf(golden::find_case("base_gguf").model, from, [&](GgufWriter& writer) {
    writer.add("general.name", "Somebody's model");
    writer.add("general.license", "mit");
    writer.add("general.file_type", std::uint32_t{17});
    writer.add("quantize.imatrix.entries_count", std::int32_t{7});
    writer.add("tokenizer.chat_template", "{{ x }}");
    writer.add_array("tokenizer.ggml.tokens", tokens);
    writer.add("qwen35.vision.block_count", std::uint32_t{3});
    writer.add("other.int8", std::int8_t{-3});
  });
  (void)convert_to_gguf(*Checkpoint::open(from), to, {.type = DType::kQ8_0, .threads = 2});
  const auto back = Checkpoint::open(to);
  const GgufMetadata& metadata = *back->gguf();
  EXPECT_EQ(metadata.get_string("general.name"), "Somebody's model");
  EXPECT_EQ(metadata.get_string("general.license"), "mit");
  EXPECT_EQ(metadata.get_int("general.file_type"), 7);
  EXPECT_EQ(metadata.get_int("general.quantization_version"), 2);
  EXPECT_EQ(metadata.find_int("quantize.imatrix.entries_count"), std::nullopt);
  EXPECT_EQ(metadata.get_string("tokenizer.chat_template"), "{{ x }}");
  EXPECT_EQ(metadata.get_strings("tokenizer.ggml.tokens"), tokens);
  EXPECT_EQ(metadata.find_int("qwen35.vision.block_count"), std::nullopt);
  EXPECT_EQ(metadata.get_int("other.int8"), -3);
  EXPECT_EQ(metadata.encoded("other.int8").size(), 5u);  // its type, and one byte
}

TEST(ConvertGguf, CarriesTheHeadThatGuessesAhead) {
  const TemporaryDirectory directory;
  for (const char* name : {"mtp", "mtp_gguf"}) {
    const golden::LoadedModel original = load(golden::find_case(name).model);
    const golden::LoadedModel back = converted(golden::find_case(name).model, directory.path() / "to.gguf",
                                               {.type = DType::kF32, .threads = 2});
    const GgufMetadata& metadata = *back.checkpoint->gguf();
    EXPECT_EQ(metadata.get_int("qwen35.block_count"), original.config.n_layers() + 1);
    EXPECT_EQ(metadata.get_int("qwen35.nextn_predict_layers"), 1);
    ASSERT_TRUE(back.weights.mtp && original.weights.mtp);
    expect_same(canonical::of(back), canonical::of(original));
  }
}

/// Where no interval describes the layers' kinds, they are listed, and the head's layer has its entry as
/// well.
TEST(ConvertGguf, CountsTheHeadAmongTheLayersKinds) {
  const TemporaryDirectory directory;
  const fs::path model = golden::find_case("mtp").model;
  nlohmann::json config = golden::read_json(model / "config.json");
  ASSERT_EQ(config["layer_types"], (nlohmann::json{"linear_attention", "full_attention"}));
  config["layer_types"] = {"full_attention", "linear_attention"};
  write_file(directory.path() / "config.json", config.dump());
  const auto swapped = [](std::string name) {
    for (const auto& [from, to] :
         {std::pair("model.layers.0.", "model.layers.1."), std::pair("model.layers.1.", "model.layers.0.")}) {
      if (name.starts_with(from)) return to + name.substr(std::string_view(from).size());
    }
    return name;
  };
  {
    const auto source = Checkpoint::open(model);
    SafetensorsWriter writer(directory.path() / "model.safetensors");
    for (const Tensor& tensor : source->tensors()) {
      writer.add_tensor(swapped(tensor.name), tensor.shape, tensor.type_name);
    }
    for (const Tensor& tensor : source->tensors()) writer.write(swapped(tensor.name), tensor.data);
    writer.finish();
  }
  const golden::LoadedModel original = load(directory.path());
  const golden::LoadedModel back =
      converted(directory.path(), directory.path() / "to.gguf", {.type = DType::kF32, .threads = 2});
  const auto* kinds = back.checkpoint->gguf()->find_ints("qwen35.attention.recurrent_layers");
  ASSERT_NE(kinds, nullptr);
  EXPECT_EQ(*kinds, (std::vector<std::int64_t>{0, 1, 0}));
  expect_same(canonical::of(back), canonical::of(original));
}

/// A file that speaks of a draft layer and has none of its tensors: the block is counted in block_count and
/// in the flags of the layers.
TEST(ConvertGguf, LeavesADraftLayerOutThatIsNotThere) {
  const TemporaryDirectory directory;
  const fs::path from = directory.path() / "from.gguf", to = directory.path() / "to.gguf";
  const fs::path base = golden::find_case("base_gguf").model;
  const auto n_layers = static_cast<std::uint32_t>(load(base).config.n_layers());
  const bool recurrent[] = {true, true, false, false};
  ASSERT_EQ(std::size(recurrent), n_layers + 1);
  copy_gguf(base, from, [&](GgufWriter& writer) {
    writer.add("qwen35.block_count", n_layers + 1);
    writer.add("qwen35.nextn_predict_layers", std::uint32_t{1});
    writer.add_array<bool>("qwen35.attention.recurrent_layers", recurrent);
  });
  const auto back = converted(from, to, {.type = DType::kF32, .threads = 2});
  EXPECT_EQ(back.checkpoint->gguf()->get_int("qwen35.block_count"), n_layers);
  EXPECT_EQ(back.checkpoint->gguf()->find_int("qwen35.nextn_predict_layers"), std::nullopt);
  expect_same(canonical::of(back), canonical::of(load(base)));
}

/// Ollama's converter can leave the V heads in Hugging Face's order, and says so in a key.
TEST(ConvertGguf, TilesVHeadsThatTheOtherFileHasGrouped) {
  const TemporaryDirectory directory;
  const fs::path grouped = directory.path() / "grouped.gguf";
  const golden::LoadedModel base = load(golden::find_case("base").model);
  ASSERT_EQ(base.config.v_head_order, VHeadOrder::kGrouped);
  Config as_it_is = base.config;
  as_it_is.v_head_order = VHeadOrder::kTiled;  // so that the plan moves nothing
  const auto tensors = plan_tensors(as_it_is, base.weights, {DType::kF32, DType::kF32});
  {
    GgufWriter writer(grouped);
    writer.add("qwen35.ssm.v_head_reordered", false);
    const auto metadata = converted(golden::find_case("base").model, directory.path() / "tiled.gguf",
                                    {.type = DType::kF32, .threads = 2});
    writer.copy_missing(*metadata.checkpoint->gguf());
    for (const PlannedTensor& tensor : tensors) {
      writer.add_tensor(tensor.name, tensor.shape, ggml_type(DType::kF32));
    }
    for (const PlannedTensor& tensor : tensors) {
      const auto* matrix = std::get_if<PlannedMatrix>(&tensor.content);
      const std::vector<float> values = matrix == nullptr ? std::get<std::vector<float>>(tensor.content)
                                                          : canonical::of(matrix->source).data;
      writer.write(tensor.name, std::as_bytes(std::span(values)));
    }
    writer.finish();
  }
  ASSERT_EQ(load(grouped).config.v_head_order, VHeadOrder::kGrouped);
  for (const DType type : {DType::kF32, DType::kBF16}) {  // copied and converted
    const auto back = converted(grouped, directory.path() / "back.gguf", {.type = type, .threads = 2});
    EXPECT_EQ(back.config.v_head_order, VHeadOrder::kTiled);
    expect_same(canonical::of(back), canonical::of(base));
  }
}

/// A small model all of whose matrices are K-quants, of random bits under scales that are sane.
class KQuantModel {
 public:
  explicit KQuantModel(const fs::path& path) {
    GgufWriter writer(path);
    writer.add("general.architecture", "qwen35");
    for (const auto& [key, value] : std::map<std::string, std::uint32_t>{{"block_count", 2},
                                                                         {"full_attention_interval", 2},
                                                                         {"context_length", 64},
                                                                         {"embedding_length", kDim},
                                                                         {"feed_forward_length", kDim},
                                                                         {"attention.head_count", 2},
                                                                         {"attention.head_count_kv", 1},
                                                                         {"attention.key_length", 128},
                                                                         {"attention.value_length", 128},
                                                                         {"rope.dimension_count", 32},
                                                                         {"ssm.conv_kernel", 4},
                                                                         {"ssm.state_size", 64},
                                                                         {"ssm.group_count", 2},
                                                                         {"ssm.time_step_rank", 4},
                                                                         {"ssm.inner_size", kDim}}) {
      writer.add("qwen35." + key, value);
    }
    writer.add("qwen35.attention.layer_norm_rms_epsilon", 1e-6f);
    writer.add("qwen35.rope.freq_base", 1e7f);
    matrix("token_embd.weight", 48);
    for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
      for (const char* layer : {"blk.0.", "blk.1."}) matrix(layer + std::string(name) + ".weight", kDim);
    }
    matrix("blk.0.attn_qkv.weight", 512);
    matrix("blk.0.attn_gate.weight", kDim);
    matrix("blk.0.ssm_beta.weight", 4);
    matrix("blk.0.ssm_alpha.weight", 4);
    matrix("blk.0.ssm_out.weight", kDim);
    matrix("blk.1.attn_q.weight", 512);
    matrix("blk.1.attn_k.weight", 128);
    matrix("blk.1.attn_v.weight", 128);
    matrix("blk.1.attn_output.weight", kDim);
    for (const char* layer : {"blk.0.", "blk.1."}) {
      vector(layer + std::string("attn_norm.weight"), {kDim}, 1);
      vector(layer + std::string("post_attention_norm.weight"), {kDim}, 1);
    }
    vector("blk.0.ssm_conv1d.weight", {512, 4}, 0.25f);
    vector("blk.0.ssm_a", {4}, -0.5f);
    vector("blk.0.ssm_dt.bias", {4}, 0.1f);
    vector("blk.0.ssm_norm.weight", {64}, 1);
    vector("blk.1.attn_q_norm.weight", {128}, 1);
    vector("blk.1.attn_k_norm.weight", {128}, 1);
    vector("output_norm.weight", {kDim}, 1);
    for (const Entry& e : entries_) writer.add_tensor(e.name, e.shape, ggml_type(e.type));
    for (const Entry& e : entries_) writer.write(e.name, e.data);
    writer.finish();
  }

 private:
  static constexpr std::int64_t kDim = 256;
  struct Entry {
    std::string name;
    std::vector<std::int64_t> shape;
    DType type;
    std::vector<std::byte> data;
  };

  void matrix(std::string name, std::int64_t rows) {
    static constexpr DType kTypes[] = {DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};
    const DType type = kTypes[entries_.size() % std::size(kTypes)];
    // Where each format keeps its binary16 scales: the first bytes, or the last.
    const auto size = static_cast<std::size_t>(block_bytes(type));
    const std::size_t count = type == DType::kQ6_K || type == DType::kQ3_K ? 1 : 2;
    const std::size_t first = type == DType::kQ4_K || type == DType::kQ5_K ? 0 : size - 2 * count;
    std::vector<std::byte> data(size * static_cast<std::size_t>(rows));
    for (std::byte& byte : data) byte = static_cast<std::byte>(random() >> 56);
    for (std::size_t block = 0; block < data.size(); block += size) {
      for (std::size_t s = 0; s < count; ++s) {  // between 2^-7 and 2^-6
        const auto scale = static_cast<std::uint16_t>(0x2000 | (random() >> 54));
        std::memcpy(data.data() + block + first + 2 * s, &scale, sizeof scale);
      }
    }
    entries_.push_back({std::move(name), {rows, kDim}, type, std::move(data)});
  }

  void vector(std::string name, std::vector<std::int64_t> shape, float value) {
    std::int64_t count = 1;
    for (const std::int64_t dim : shape) count *= dim;
    const std::vector<float> values(static_cast<std::size_t>(count), value);
    const auto bytes = std::as_bytes(std::span(values));
    entries_.push_back({std::move(name), std::move(shape), DType::kF32, {bytes.begin(), bytes.end()}});
  }

  std::uint64_t random() {  // Knuth's MMIX generator
    return state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  }

  std::uint64_t state_ = 1;
  std::vector<Entry> entries_;
};

TEST(ConvertGguf, KQuantsAreRequantised) {
  const TemporaryDirectory directory;
  const fs::path from = directory.path() / "k.gguf";
  const KQuantModel written(from);
  const golden::LoadedModel original = load(from);
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kF32}) {
    canonical::Model expected = canonical::of(original);
    for (auto& [name, values] : expected) {
      if (canonical::is_matrix(name, values)) values = canonical::stored_as(values, type);
    }
    expect_same(canonical::of(converted(from, directory.path() / "out.gguf", {.type = type, .threads = 2})),
                expected);
  }
}

}  // namespace
}  // namespace lattice
