#include "bench/report.h"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bench/svg.h"

namespace lattice::bench {
namespace {

Result example() {
  Result result;
  result.environment = {.commit = "abc",
                        .compiler = "c++",
                        .flags = "-O3",
                        .cpu = "A & B",
                        .system = "S",
                        .processors = 2,
                        .governor = "performance",
                        .load = 0.1};
  result.model = {.name = "dir/<model>\xff",
                  .type = "Q8_0",
                  .random = false,
                  .device = "cpu (avx2, 2 threads)",
                  .kv = "f32",
                  .weight_bytes = 800'000'000,
                  .state_bytes = 19'000'000,
                  .kv_bytes = 24'576,
                  .parameters = 750'000'000,
                  .head_parameters = 250'000'000};
  result.roof = {.threads = 2, .bytes_per_second = 30e9, .flop_per_second = 100e9, .phase_seconds = 2e-6};
  result.prefill = Prefill{.tokens = 512, .seconds = {{5.0, 6.0, 5.5}}, .flop = 5e11};
  for (const std::int64_t context : {0, 4096}) {
    Decode decode;
    decode.context = context;
    decode.mean_context = static_cast<double>(context) + 10;
    decode.made_up = context > 0;
    decode.seconds.values = {0.04, 0.05, 0.041};
    decode.phases = 127;
    decode.dispatches = 131;
    decode.device_seconds = 0.00425;
    decode.bytes = 840e6;
    decode.flop = 1.5e9;
    decode.terms = {.bytes = 0.028, .phases = 0.000254, .host = 0.0002, .rest = 0.012546};
    decode.bandwidth = 28e9;
    decode.mbu = 0.683;
    decode.fixed_seconds = 0.013;
    result.decode.push_back(decode);
  }
  result.batches.push_back(
      {.tokens = 4, .context = 4096, .seconds = {{0.05, 0.044, 0.046}}, .ratios = {{1.25, 1.125, 1.1875}}});
  result.fit = Line{.intercept = 0.041, .slope = 1e-7};
  result.logits_hash = 0x0123456789abcdef;
  result.notes = {"decode/16384 was left out"};
  return result;
}

TEST(Report, JsonHasTheSchemasFields) {
  const nlohmann::json json = nlohmann::json::parse(json_report(example()));
  EXPECT_EQ(json["schema"], "lattice-bench/1");
  EXPECT_EQ(json["logits_hash"], "0123456789abcdef");
  ASSERT_EQ(json["benchmarks"].size(), 4u);
  for (const auto& one : json["benchmarks"]) {
    EXPECT_TRUE(one["name"].is_string());
    EXPECT_EQ(one["unit"], "s");
    EXPECT_EQ(one["better"], "lower");
    EXPECT_GT(one["value"].get<double>(), 0);
    EXPECT_EQ(one["samples"].size(), 3u);
  }
  EXPECT_EQ(json["benchmarks"][0]["name"], "prefill/512");
  EXPECT_EQ(json["benchmarks"][0]["value"], 5.5);
  EXPECT_EQ(json["benchmarks"][2]["name"], "decode/4096");
  EXPECT_EQ(json["benchmarks"][2]["terms_s"]["host"], 0.0002);
  EXPECT_EQ(json["benchmarks"][2]["phases"], 127);
  EXPECT_EQ(json["benchmarks"][2]["dispatches"], 131);
  EXPECT_EQ(json["benchmarks"][2]["device_s"], 0.00425);
  EXPECT_EQ(json["benchmarks"][3]["name"], "batch/4");
  EXPECT_EQ(json["benchmarks"][3]["context"], 4096);
  EXPECT_EQ(json["benchmarks"][3]["cost_of_one"]["value"], 1.1875);
  EXPECT_EQ(json["benchmarks"][3]["cost_of_one"]["samples"].size(), 3u);
  EXPECT_EQ(json["machine"]["governor"], "performance");
  EXPECT_EQ(json["program"]["commit"], "abc");
  EXPECT_EQ(json["fit"]["intercept_s"], 0.041);
}

TEST(Report, TextNamesEveryFigureAndEndsWithTheHash) {
  const std::string text = text_report(example());
  for (const char* words :
       {"tok/s", "MBU %", "127 a token, 131 dispatches, 4.25 ms by the device's clock", "host", "rest",
        "governor performance", "load 0.10", "abc", "30.0 GB/s", "1.188", "1.125 … 1.250",
        "after 4096 tokens", "  28.0  ", "made up", "decode/16384 was left out"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
  EXPECT_TRUE(text.ends_with("logits   0123456789abcdef\n"));
  EXPECT_EQ(text.find('\xff'), std::string::npos) << "a path's bytes reach the terminal";
}

TEST(Report, SvgIsWellFormedWhateverTheModelIsCalled) {
  const std::string svg = svg_report(example());
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(svg.find("<model>"), std::string::npos);
  EXPECT_NE(svg.find("&lt;model&gt;"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_NE(svg.find("prefers-color-scheme: dark"), std::string::npos);
}

TEST(Report, SvgOfASingleMeasurement) {
  Result result = example();
  result.prefill.reset();
  result.decode.resize(1);
  result.fit.reset();
  const std::string svg = svg_report(result);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Axis, LinearTicksAreRoundAndCoverTheRange) {
  const Axis axis(Axis::Scale::kLinear, 0, 16400, 100, 300);
  EXPECT_EQ(axis.ticks(), (std::vector<double>{0, 5000, 10000, 15000, 20000}));
  EXPECT_DOUBLE_EQ(axis.place(0), 100);
  EXPECT_DOUBLE_EQ(axis.place(20000), 300);
}

TEST(Axis, LogarithmicTicksAreOneTwoFive) {
  const Axis axis(Axis::Scale::kLog, 0.3, 40, 0, 1);
  EXPECT_EQ(axis.ticks().size(), 8u);  // 0.2, 0.5, 1, 2, 5, 10, 20, 50
}

}  // namespace
}  // namespace lattice::bench
