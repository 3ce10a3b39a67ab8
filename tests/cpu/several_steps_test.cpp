#include <algorithm>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.h"
#include "cpu/quantised_model.h"
#include "lattice/error.hpp"

namespace lattice::cpu {
namespace {

using Ids = std::vector<std::int32_t>;
using Logits = Backend::Logits;

/// A state that is fed in any way that it allows, beside one that is fed the tokens that remain, one by one.
class Walk {
 public:
  Walk(Backend& backend, std::uint32_t seed)
      : backend_(backend),
        vocab_(static_cast<std::size_t>(backend.config().vocab_size)),
        random_(seed),
        state_(backend.new_state(kCapacity)),
        expected_(backend.new_state(kCapacity)) {}

  [[nodiscard]] std::int64_t position() const { return state_->position(); }

  /// Feeds the same to both at once.
  void feed_both(std::size_t count) {
    const Ids ids = random_ids(count);
    std::vector<float> a(vocab_), b(vocab_);
    backend_.forward(*state_, ids, Logits::kLast, a);
    backend_.forward(*expected_, ids, Logits::kLast, b);
    ASSERT_TRUE(a == b) << count << " tokens up to " << position();
  }

  /// Feeds `count` tokens at once, `kept` of which stay.
  void feed_and_go_back(std::size_t count, std::size_t kept) {
    const Ids ids = random_ids(count);
    const std::int64_t before = position();
    rows_.resize(count * vocab_);
    backend_.forward(*state_, ids, Logits::kAll, rows_);
    ASSERT_EQ(state_->earliest(), before + 1);
    state_->rewind(before + static_cast<std::int64_t>(kept));
    std::vector<float> row(vocab_);
    for (std::size_t i = 0; i < kept; ++i) {
      backend_.forward(*expected_, {&ids[i], 1}, Logits::kLast, row);
      ASSERT_TRUE(std::ranges::equal(row, std::span(rows_).subspan(i * vocab_, vocab_)))
          << "token " << i << " of " << count << ", of which " << kept << " stay, after " << before;
    }
  }

  void go_on_with_a_clone() { state_ = state_->clone(); }
  [[nodiscard]] std::size_t any(std::size_t from, std::size_t to) {
    return std::uniform_int_distribution<std::size_t>(from, to)(random_);
  }

 private:
  static constexpr std::int64_t kCapacity = 1000;

  Ids random_ids(std::size_t count) {
    Ids ids(count);
    for (auto& id : ids) id = static_cast<std::int32_t>(any(0, vocab_ - 1));
    return ids;
  }

  Backend& backend_;
  std::size_t vocab_;
  std::mt19937 random_;
  std::unique_ptr<State> state_;
  std::unique_ptr<State> expected_;
  std::vector<float> rows_;
};

void expect_steps_of_any_number(const Config& config, const Weights& weights, const CpuOptions& options,
                                std::uint32_t seed) {
  const auto backend = make_cpu_backend(config, weights, options);
  const auto most = static_cast<std::size_t>(backend->most_guesses()) + 1;
  ASSERT_EQ(most, 8U);
  Walk walk(*backend, seed);
  for (std::size_t count = 2; count <= most; ++count) walk.feed_and_go_back(count, count);  // from nothing on
  // Where attention begins to split its keys in two, and in three; a prompt's piece takes in what is pending.
  for (const std::int64_t border : {128, 256}) {
    walk.feed_both(static_cast<std::size_t>(border - 12 - walk.position()));
    for (int i = 0; walk.position() < border + 2 && !testing::Test::HasFatalFailure(); ++i) {
      const std::size_t count = walk.any(1, most);
      walk.feed_and_go_back(count, walk.any(1, count));
      if (i % 3 == 1) walk.go_on_with_a_clone();
    }
  }
  walk.feed_both(9);
  walk.feed_and_go_back(1, 1);
}

class SeveralStepsIn : public testing::TestWithParam<DType> {};

TEST_P(SeveralStepsIn, AreThatManyStepsBitForBit) {
  const FileFormat format{.type = GetParam()};
  const QuantisedModel model(format);
  const bool quantised = format.is_quantised();
  std::uint32_t seed = 1;
  for (const Isa isa : available_isas()) {
    if (isa == Isa::kScalar) continue;  // slow, and what it shares with the others is what is tested
    for (const bool exact : {false, true}) {
      if (exact && !quantised) continue;
      SCOPED_TRACE(std::string(isa_name(isa)) + (exact ? ", exact" : ""));
      CpuOptions options;
      options.isa = isa;
      options.threads = 1;
      options.exact = exact;
      options.kv = seed % 2 == 0 ? KvFormat::kF16 : KvFormat::kF32;
      expect_steps_of_any_number(model.config(), model.weights(), options, seed++);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SeveralStepsIn,
                         testing::Values(DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K, DType::kBF16,
                                         DType::kF16, DType::kF32),
                         [](const auto& of) { return std::string(dtype_name(of.param)); });

/// Hybrids of every kind: V heads that share a K head, in either order; a first layer of full attention.
TEST(SeveralSteps, AreThatManyStepsInOddShapes) {
  for (const golden::Case& one : golden::cases()) {
    SCOPED_TRACE(one.name);
    const golden::LoadedModel model = golden::load_model(one.model);
    CpuOptions options;
    options.threads = one.name == "v_per_k_2" ? 3 : 1;
    expect_steps_of_any_number(model.config, model.weights, options, 77);
  }
}

TEST(SeveralSteps, GoBackAsFarAsTheySayAndNoFurther) {
  const golden::LoadedModel model = golden::load_model(golden::find_case("base").model);
  const auto backend = make_cpu_backend(model.config, model.weights);
  const auto state = backend->new_state(100);
  const Ids ids(20, 3);
  const auto refuses = [&](std::int64_t to) {
    const std::int64_t position = state->position();
    try {
      state->rewind(to);
      ADD_FAILURE() << "went back to " << to;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUsage);
    }
    EXPECT_EQ(state->position(), position);
  };
  EXPECT_EQ(state->earliest(), 0);
  refuses(-1);
  refuses(1);
  backend->forward(*state, std::span(ids).first(20), Logits::kNone, {});
  EXPECT_EQ(state->earliest(), 20);
  refuses(19);
  backend->forward(*state, std::span(ids).first(8), Logits::kNone, {});
  EXPECT_EQ(state->earliest(), 21);
  refuses(20);
  refuses(29);
  state->rewind(25);
  EXPECT_EQ(state->position(), 25);
  refuses(26);  // what was taken back is gone
  state->rewind(21);
  state->rewind(21);
  EXPECT_EQ(state->position(), 21);
  const auto clone = state->clone();
  EXPECT_EQ(clone->earliest(), 21);
  backend->forward(*state, std::span(ids).first(3), Logits::kNone, {});
  state->reset();
  EXPECT_EQ(state->earliest(), 0);
  refuses(1);
}

}  // namespace
}  // namespace lattice::cpu
