#include "lattice/model.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fixtures.h"
#include "lattice/session.hpp"

namespace lattice {
namespace {

std::filesystem::path base() {
  return golden::find_case("base").model;
}

LoadOptions on(const char* device) {
  LoadOptions options;
  options.device = device;
  return options;
}

TEST(Devices, ListsTheCpuFirstAndTheReference) {
  const std::vector<Device> all = devices();
  ASSERT_GE(all.size(), 2u);
  EXPECT_EQ(all.front().name, "cpu");
  for (const Device& device : all) {
    EXPECT_FALSE(device.description.empty()) << device.name;
    EXPECT_EQ(Model::load(base(), on(device.name.c_str())).device().substr(0, device.name.size()),
              device.name);
  }
}

TEST(Model, SaysWhatItIs) {
  const Model model = Model::load(base());
  EXPECT_EQ(model.path(), base());
  EXPECT_EQ(model.vocab_size(), 201);
  EXPECT_EQ(model.max_context(), 1024);
  EXPECT_TRUE(model.device().starts_with("cpu (")) << model.device();
  EXPECT_TRUE(model.warnings().empty());
}

TEST(Model, EveryDeviceGivesTheSameLogits) {
  const golden::Case one = golden::find_case("base");
  for (const char* device : {"auto", "cpu", "reference", "soft"}) {
    LoadOptions options = on(device);
    options.exact = true;
    const Model model = Model::load(one.model, options);
    Session session(model);
    session.feed(one.prompts.back().ids);
    const std::vector<float>& expected = one.prompts.back().last_logits;
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(session.logits()[i], expected[i], 2e-3);
  }
}

TEST(Model, RefusesADeviceBeforeItLooksAtTheFile) {
  for (const char* name : {"gpu", "", "CPU", "cpu ", "\x1b[2J"}) {
    expect_error(kUsage, {"device", "auto, cpu, reference, soft"},
                 [&] { (void)Model::load("/no/such/model", on(name)); });
  }
  LoadOptions options = on("reference");
  options.kv = KvPrecision::kF16;
  expect_error(kUsage, {"reference", "f16"}, [&] { (void)Model::load("/no/such/model", options); });
}

TEST(Model, RefusesImpossibleThreads) {
  for (const int threads : {-1, 1025, INT32_MIN, INT32_MAX}) {
    LoadOptions options;
    options.threads = threads;
    expect_error(kUsage, {"threads", std::to_string(threads)}, [&] { (void)Model::load(base(), options); });
  }
}

TEST(Model, NamesTheFileThatItCannotLoad) {
  expect_error(kInput, {"/no/such/model"}, [] { (void)Model::load("/no/such/model"); });
  const TemporaryDirectory empty;
  expect_error(kInput, {empty.path().string(), "config.json"}, [&] { (void)Model::load(empty.path()); });
  const CheckpointCopy copy(base());
  copy.write("generation_config.json", R"({"temperature": -1})");
  expect_error(kInput, {"generation_config.json: temperature is -1"},
               [&] { (void)Model::load(copy.path()); });
  copy.write("generation_config.json", R"({"eos_token_id": 201})");
  expect_error(kInput, {"generation_config.json", "eos_token_id is 201"},
               [&] { (void)Model::load(copy.path()); });
}

TEST(Model, TakesItsDefaultsFromTheCheckpoint) {
  const Model shipped = Model::load(golden::shipped_model_path());
  EXPECT_FLOAT_EQ(shipped.default_sampling().temperature, 0.7f);
  EXPECT_EQ(shipped.default_sampling().top_k, 40);
  EXPECT_FLOAT_EQ(shipped.default_sampling().top_p, 0.9f);
  EXPECT_TRUE(Model::load(base()).default_sampling().is_greedy());
}

TEST(Model, KeepsKeysAndValuesInF16UnlessToldOtherwise) {
  const auto kv_bytes = [](const LoadOptions& options) {
    const Model model = Model::load(base(), options);
    return model.bytes_per_token(1) - model.bytes_per_token(0);
  };
  constexpr std::int64_t kF32 = 1 * 2 * 2 * 32 * 4;
  for (const char* device : {"cpu", "soft", "reference"}) {
    LoadOptions options = on(device);
    const bool has_f16 = std::string_view(device) != "reference";
    EXPECT_EQ(kv_bytes(options), has_f16 ? kF32 / 2 : kF32) << device;
    options.exact = true;
    EXPECT_EQ(kv_bytes(options), kF32) << device;
    if (has_f16) {
      options.kv = KvPrecision::kF16;
      EXPECT_EQ(kv_bytes(options), kF32 / 2) << device;
    }
    options.kv = KvPrecision::kF32;
    options.exact = false;
    EXPECT_EQ(kv_bytes(options), kF32) << device;
  }
}

TEST(Model, CountsTheBytesOfAToken) {
  const Model model = Model::load(base());
  const std::int64_t kv = model.bytes_per_token(1) - model.bytes_per_token(0);
  EXPECT_EQ(kv, 1 * 2 * 2 * 32 * 2);  // one full layer, keys and values, 2 heads of 32, binary16
  EXPECT_EQ(model.bytes_per_token(1024), model.bytes_per_token(0) + 1024 * kv);
  EXPECT_EQ(model.bytes_per_token(INT64_MAX), model.bytes_per_token(1024)) << "no further than the context";
  EXPECT_EQ(model.bytes_per_token(INT64_MIN), model.bytes_per_token(0));
}

std::vector<Token> eos_of(const Model& model) {
  return {model.eos_tokens().begin(), model.eos_tokens().end()};
}

TEST(Model, EndsWithWhatBothConfigsName) {
  EXPECT_EQ(eos_of(Model::load(base())), std::vector<Token>{0});
  EXPECT_EQ(eos_of(Model::load(golden::find_case("nested_v_per_k_3").model)), (std::vector<Token>{0, 7}));
}

TEST(Model, AChatModelEndsItsTurnsToo) {
  const CheckpointCopy copy(golden::shipped_model_path());
  const Model plain = Model::load(copy.path());
  EXPECT_FALSE(plain.has_chat_template());
  EXPECT_EQ(eos_of(plain), std::vector<Token>{8187}) << "<|endoftext|>, as the config says";
  expect_error(kInput, {copy.path().string(), "chat template"}, [&] {
    (void)plain.apply_chat_template({{"user", "hi", {}, {}}});
  });

  copy.write("chat_template.jinja", "{% for message in messages %}{{ message.content }}{% endfor %}");
  const Model chat = Model::load(copy.path());
  EXPECT_TRUE(chat.has_chat_template());
  EXPECT_EQ(eos_of(chat), (std::vector<Token>{8187, 8189})) << "and <|im_end|>";
  EXPECT_EQ(chat.warnings().size(), 1u) << "nobody knows this template";
  const std::string prompt = chat.apply_chat_template({{"user", "hi", {}, {}}});
  EXPECT_NE(prompt.find("<|im_start|>user\nhi<|im_end|>"), std::string::npos) << prompt;
}

TEST(Model, AChatTemplateWithoutATokenizerStillEnds) {
  const CheckpointCopy copy(base());
  copy.write("chat_template.jinja", "{{ messages }}");
  EXPECT_EQ(eos_of(Model::load(copy.path())), std::vector<Token>{0});
}

TEST(Model, NeedsATokenizerForTextAlone) {
  const Model model = Model::load(base());
  Session session(model);
  session.feed(Token{5});
  EXPECT_EQ(session.logits().size(), 201u);
  for (int attempt = 0; attempt < 2; ++attempt) {
    expect_error(kInput, {base().string()}, [&] { (void)model.encode("text"); });
    expect_error(kInput, {base().string()}, [&] { (void)model.decode(std::vector<Token>{5}); });
  }
}

TEST(Model, EncodesAndDecodes) {
  const Model model = Model::load(golden::shipped_model_path());
  const std::string text = "Once upon a time, there was a little girl.";
  const std::vector<Token> ids = model.encode(text);
  EXPECT_EQ(model.decode(ids), text);
  EXPECT_EQ(model.encode("<|im_end|>"), std::vector<Token>{8189});
  EXPECT_GT(model.encode("<|im_end|>", /*parse_special=*/false).size(), 1u);
  EXPECT_EQ(model.decode(std::vector<Token>{8189}), "");
  EXPECT_EQ(model.decode(std::vector<Token>{8189}, /*with_special=*/true), "<|im_end|>");
}

TEST(Model, RefusesATokenizerOfAnotherModel) {
  const CheckpointCopy copy(base());
  copy.write("tokenizer.json", file_contents(golden::shipped_model_path() / "tokenizer.json"));
  const Model model = Model::load(copy.path());
  expect_error(kInput, {copy.path().string(), "8192", "201"}, [&] { (void)model.encode("text"); });
}

TEST(Model, ThreadsReadTheTokenizerOnce) {
  const Model model = Model::load(golden::shipped_model_path());
  std::vector<std::vector<Token>> ids(4);
  std::vector<std::thread> threads;
  for (std::vector<Token>& own : ids) {
    threads.emplace_back([&own, model] {
      own = model.encode("The cat sat.");
      (void)model.eos_tokens();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<Token>& own : ids) EXPECT_EQ(own, ids.front());
  EXPECT_FALSE(ids.front().empty());
}

TEST(Model, ReportsProgress) {
  LoadOptions options;
  std::int64_t last = 0;
  std::int64_t whole = 0;
  options.progress = [&](std::string_view what, std::int64_t done, std::int64_t total) {
    EXPECT_FALSE(what.empty());
    EXPECT_GE(done, last);
    last = done;
    whole = total;
  };
  (void)Model::load(golden::shipped_model_path(), options);
  EXPECT_GT(whole, 0);
  EXPECT_EQ(last, whole);
}

}  // namespace
}  // namespace lattice
