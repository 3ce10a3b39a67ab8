#include "engine/sampling_defaults.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "engine/fixtures.h"
#include "formats/gguf_metadata.h"
#include "formats/memory_checkpoint.h"

namespace lattice {
namespace {

Sampling from(const char* json) {
  return sampling_defaults(MemoryCheckpoint("/models/m", CheckpointKind::kSafetensors,
                                            nlohmann::json::object(), nlohmann::json::parse(json), {}));
}
Sampling from(GgufMetadata::Values values) {
  return sampling_defaults(
      MemoryCheckpoint("/models/m.gguf", GgufMetadata("/models/m.gguf", std::move(values)), {}));
}

TEST(SamplingDefaults, AreThoseOfTheGenerationConfig) {
  const Sampling sampling = from(R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95,
      "min_p": 0.05, "repetition_penalty": 1.1, "presence_penalty": 1.5, "frequency_penalty": -2,
      "eos_token_id": [1, 2], "transformers_version": "5"})");
  EXPECT_FLOAT_EQ(sampling.temperature, 0.6f);
  EXPECT_EQ(sampling.top_k, 20);
  EXPECT_FLOAT_EQ(sampling.top_p, 0.95f);
  EXPECT_FLOAT_EQ(sampling.min_p, 0.05f);
  EXPECT_FLOAT_EQ(sampling.repetition_penalty, 1.1f);
  EXPECT_FLOAT_EQ(sampling.presence_penalty, 1.5f);
  EXPECT_FLOAT_EQ(sampling.frequency_penalty, -2);
  EXPECT_EQ(sampling.seed, 0u);
}

TEST(SamplingDefaults, WhatIsNotNamedIsOff) {
  const Sampling sampling = from(R"({"do_sample": true, "top_p": null})");
  EXPECT_EQ(sampling.temperature, 1);
  EXPECT_EQ(sampling.top_k, 0);
  EXPECT_EQ(sampling.top_p, 1);
  EXPECT_EQ(sampling.min_p, 0);
  EXPECT_EQ(sampling.repetition_penalty, 1);
  EXPECT_EQ(sampling.presence_penalty, 0);
  EXPECT_EQ(sampling.frequency_penalty, 0);
}

TEST(SamplingDefaults, GreedyUnlessSamplingIsAskedFor) {
  for (const char* json : {"{}", R"({"do_sample": false, "temperature": 0.7})", R"({"temperature": 0.7})",
                           R"({"do_sample": null})", R"({"do_sample": true, "temperature": 0})"}) {
    EXPECT_TRUE(from(json).is_greedy()) << json;
  }
  EXPECT_EQ(from(R"({"do_sample": false, "repetition_penalty": 1.2})").repetition_penalty, 1.2f);
  EXPECT_TRUE(from(GgufMetadata::Values{}).is_greedy());
  EXPECT_TRUE(from(GgufMetadata::Values{{"general.name", std::string_view("m")}}).is_greedy());
}

TEST(SamplingDefaults, AreThoseOfTheGgufMetadata) {
  const Sampling sampling = from(GgufMetadata::Values{{"general.sampling.temp", 0.5},
                                                      {"general.sampling.top_k", std::int64_t{7}},
                                                      {"general.sampling.top_p", 0.25},
                                                      {"general.sampling.min_p", 0.125},
                                                      {"general.sampling.penalty_repeat", 1.5}});
  EXPECT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_k, 7);
  EXPECT_EQ(sampling.top_p, 0.25f);
  EXPECT_EQ(sampling.min_p, 0.125f);
  EXPECT_EQ(sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(from(GgufMetadata::Values{{"general.sampling.top_k", std::int64_t{7}}}).temperature, 1);
}

TEST(SamplingDefaults, RefusesWhatIsNoSamplingAndSaysWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"temperature": "hot"})", "temperature is not a number"},
      {R"({"temperature": -0.1})", "temperature is -0.1, not at least 0"},
      {R"({"temperature": 1e300})", "temperature"},
      {R"({"top_p": 0})", "top_p is 0, not above 0 and at most 1"},
      {R"({"top_p": 1.01})", "top_p is 1.01"},
      {R"({"min_p": 1})", "min_p is 1, not at least 0 and below 1"},
      {R"({"min_p": -1})", "min_p is -1"},
      {R"({"repetition_penalty": 0})", "repetition_penalty is 0, not above 0"},
      {R"({"presence_penalty": 2.1})", "presence_penalty is 2.1"},
      {R"({"frequency_penalty": [1]})", "frequency_penalty is not a number"},
      {R"({"top_k": -1})", "top_k is -1"},
      {R"({"top_k": 2147483648})", "top_k is 2147483648"},
      {R"({"top_k": 18446744073709551615})", "top_k"},
      {R"({"top_k": 20.0})", "top_k is not a whole number"},
      {R"({"do_sample": 1})", "do_sample is not true or false"},
  };
  for (const auto& [json, message] : cases) {
    SCOPED_TRACE(json);
    expect_error(kInput, {"/models/m/generation_config.json: ", message}, [&] { (void)from(json); });
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<GgufMetadata::Values, const char*> gguf_cases[] = {
      {{{"general.sampling.temp", nan}}, "general.sampling.temp is nan"},
      {{{"general.sampling.temp", HUGE_VAL}}, "general.sampling.temp is inf"},
      {{{"general.sampling.top_p", 2.0}}, "general.sampling.top_p is 2"},
      {{{"general.sampling.top_k", std::int64_t{-4}}}, "general.sampling.top_k is -4"},
      {{{"general.sampling.top_k", 4.0}}, "general.sampling.top_k"},
      {{{"general.sampling.min_p", true}}, "general.sampling.min_p"},
  };
  for (const auto& [values, message] : gguf_cases) {
    SCOPED_TRACE(message);
    expect_error(kInput, {"/models/m.gguf: ", message}, [&, &given = values] { (void)from(given); });
  }
}

}  // namespace
}  // namespace lattice
