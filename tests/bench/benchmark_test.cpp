#include "bench/benchmark.h"

#include <gtest/gtest.h>

#include "lattice/error.hpp"
#include "lattice/model.hpp"

namespace lattice::bench {
namespace {

const std::filesystem::path kShipped =
    std::filesystem::path(LATTICE_SOURCE_DIR) / "models/tinystories-qwen35";

Options quick_options() {
  Options options;
  options.path = kShipped;
  options.prefill_tokens = 8;
  options.contexts = {0, 40};
  options.repeats = 2;
  options.steps = 2;
  return options;
}

TEST(Benchmark, MeasuresAModelFile) {
  const Result result = run(quick_options());
  ASSERT_TRUE(result.prefill.has_value());
  EXPECT_EQ(result.prefill->tokens, 8);
  EXPECT_EQ(result.prefill->seconds.values.size(), 2u);
  ASSERT_EQ(result.decode.size(), 2u);
  for (const Decode& decode : result.decode) {
    EXPECT_EQ(decode.seconds.values.size(), 2u);
    EXPECT_GT(decode.seconds.min(), 0);
    EXPECT_GT(decode.phases, 10);
    EXPECT_GT(decode.mbu, 0);
    // Between what a slow emulator reads and what no machine does.
    EXPECT_GT(decode.bandwidth, 1e6);
    EXPECT_LT(decode.bandwidth, 1e13);
    const Terms& terms = decode.terms;
    EXPECT_NEAR(terms.bytes + terms.phases + terms.host + terms.rest, decode.seconds.median(), 1e-12);
    EXPECT_NEAR(decode.fixed_seconds, decode.seconds.median() - terms.bytes, 1e-12);
  }
  // Two steps to warm up and four that count: positions 42 to 45.
  EXPECT_DOUBLE_EQ(result.decode[1].mean_context, 43.5);
  EXPECT_TRUE(result.decode[1].made_up);
  EXPECT_FALSE(result.decode[0].made_up);
  EXPECT_TRUE(result.fit.has_value());
  EXPECT_EQ(result.model.type, "BF16");
  EXPECT_GT(result.decode[1].bytes, result.decode[0].bytes);
}

TEST(Benchmark, HoldsABatchAgainstOneToken) {
  Options options = quick_options();
  options.load.device = "cpu";
  options.prefill_tokens = 0;
  options.contexts = {24};
  options.batches = {1, 3, 8};
  options.filter = "batch/[38]";
  const Result result = run(options);
  EXPECT_TRUE(result.decode.empty());
  ASSERT_EQ(result.batches.size(), 2u);
  EXPECT_EQ(result.batches[0].tokens, 3);
  EXPECT_EQ(result.batches[1].tokens, 8);
  for (const Batch& batch : result.batches) {
    EXPECT_EQ(batch.context, 24);
    EXPECT_EQ(batch.seconds.values.size(), 2u);
    EXPECT_EQ(batch.ratios.values.size(), 2u);
    EXPECT_GT(batch.seconds.min(), 0);
    EXPECT_GT(batch.ratios.min(), 0);
  }
  EXPECT_NE(result.logits_hash, 0u);

  // Thrice eight tokens, and the one call that warms up among them, do not fit the model's 4096.
  options.contexts = {4080};
  options.filter = "batch/8";
  EXPECT_THROW((void)run(options), Error);
  options.batches = {0};
  EXPECT_THROW(options.check(), Error);
  options.batches = {kMostBatch + 1};
  EXPECT_THROW(options.check(), Error);
  options.batches.assign(65, 1);
  EXPECT_THROW(options.check(), Error);
}

TEST(Benchmark, HoldsGuessesOfTheModelsHeadAgainstOneToken) {
  Options options = quick_options();
  options.path = std::filesystem::path(LATTICE_SOURCE_DIR) / "tests/data/model/mtp";
  options.load.device = "cpu";
  options.load.mtp = true;
  options.prefill_tokens = 0;
  options.drafts = {1, 3};
  options.filter = "draft";
  for (const std::int64_t context : {0, 24}) {
    options.contexts = {context};
    const Result result = run(options);
    ASSERT_EQ(result.drafts.size(), 2u);
    EXPECT_EQ(result.drafts[1].tokens, 3);
    EXPECT_EQ(result.drafts[1].context, context);
    EXPECT_EQ(result.drafts[1].ratios.values.size(), 2u);
    EXPECT_GT(result.drafts[1].seconds.min(), 0);
  }
  options.load.mtp = false;  // then nothing is measured, and the reason said
  try {
    (void)run(options);
    ADD_FAILURE() << "was measured";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("no head that guesses ahead"), std::string::npos)
        << error.what();
  }
  options.drafts = {0};
  EXPECT_THROW(options.check(), Error);
}

TEST(Benchmark, CountsTheDispatchesOfADeviceThatDrawsTokens) {
  Options options = quick_options();
  options.load.device = "soft";
  options.prefill_tokens = 0;
  options.contexts = {0};
  const Result on_device = run(options);
  ASSERT_EQ(on_device.decode.size(), 1u);
  // 42 for the shipped model's step, two to draw, and a copy of the recurrent state a stream: one for two
  // tokens here.
  EXPECT_DOUBLE_EQ(on_device.decode[0].dispatches, 44.5);
  EXPECT_DOUBLE_EQ(on_device.decode[0].phases, 44.5);
  EXPECT_EQ(on_device.decode[0].host_seconds, 0);
  EXPECT_DOUBLE_EQ(on_device.decode[0].mean_context, 3.5);  // two steps to warm up: positions 2 to 5
  EXPECT_EQ(run(options).logits_hash, on_device.logits_hash);
}

TEST(Benchmark, TheHashOfLogitsDependsOnResultsAlone) {
  Options options = quick_options();
  const std::uint64_t hash = run(options).logits_hash;
  options.load.threads = 1;
  EXPECT_EQ(run(options).logits_hash, hash) << "threads";
  options.load.threads = 3;
  EXPECT_EQ(run(options).logits_hash, hash) << "threads";
  options.load.kv = KvPrecision::kF32;
  EXPECT_NE(run(options).logits_hash, hash) << "other precision";
}

TEST(Benchmark, AContextCanBeFed) {
  Options options = quick_options();
  options.make_up_contexts = false;
  options.prefill_tokens = 0;
  const Result result = run(options);
  ASSERT_EQ(result.decode.size(), 2u);
  EXPECT_FALSE(result.decode[1].made_up);
  EXPECT_DOUBLE_EQ(result.decode[1].mean_context, 43.5);
}

TEST(Benchmark, TheReferenceIsADeviceLikeAnother) {
  Options options = quick_options();
  options.load.device = "reference";
  options.contexts = {0, 4};
  const Result result = run(options);
  ASSERT_EQ(result.decode.size(), 2u);
  EXPECT_FALSE(result.decode[1].made_up) << "it has no made-up state, so the context is fed";
}

TEST(Benchmark, TheFilterChooses) {
  Options options = quick_options();
  EXPECT_EQ(benchmark_names(options), (std::vector<std::string>{"prefill/8", "decode/0", "decode/40"}));
  options.filter = "decode/0$";
  EXPECT_EQ(benchmark_names(options), std::vector<std::string>{"decode/0"});
  const Result result = run(options);
  EXPECT_FALSE(result.prefill.has_value());
  ASSERT_EQ(result.decode.size(), 1u);
  EXPECT_FALSE(result.fit.has_value());
  options.filter = "nothing";
  EXPECT_THROW((void)run(options), Error);
  options.filter = "(";
  EXPECT_THROW((void)benchmark_names(options), Error);
}

TEST(Benchmark, AContextThatTheModelDoesNotReachIsLeftOutAndSaidSo) {
  Options options = quick_options();
  options.contexts = {0, 1 << 20};
  const Result result = run(options);
  EXPECT_EQ(result.decode.size(), 1u);
  ASSERT_EQ(result.notes.size(), 1u);
  EXPECT_NE(result.notes[0].find("decode/1048576"), std::string::npos);
}

TEST(Benchmark, RefusesWhatCannotBe) {
  const auto refused = [](const auto& change) {
    Options options = quick_options();
    change(options);
    EXPECT_THROW((void)run(options), Error);
  };
  refused([](Options& o) { o.repeats = 0; });
  refused([](Options& o) { o.steps = -1; });
  refused([](Options& o) { o.prefill_tokens = -1; });
  refused([](Options& o) { o.contexts = {-1}; });
  refused([](Options& o) { o.contexts.assign(1000, 0); });
  refused([](Options& o) { o.shape = "0.8b"; });  // and a path
  refused([](Options& o) { o.path.reset(); });
  refused([](Options& o) { o.load.device = "typewriter"; });
  refused([](Options& o) { o.path = "/no/such/model"; });
}

TEST(Benchmark, AModelThatMemoryHasNoRoomForIsRefusedBeforeItIsMade) {
  Options options = quick_options();
  options.path.reset();
  options.shape = "27b";
  options.type = DType::kF32;
  options.contexts = {1 << 20};
  const std::optional<std::int64_t> memory = available_memory();
  if (!memory || *memory > std::int64_t{200} << 30) GTEST_SKIP() << "this machine could hold it";
  try {
    (void)run(options);
    FAIL() << "it was made";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("27b in F32"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lattice::bench
