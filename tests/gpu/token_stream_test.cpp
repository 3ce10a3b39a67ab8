// Streams of tokens, held to feeding one token after the other.

#include <algorithm>
#include <limits>
#include <string>

#include "gpu/gpu_backend.h"
#include "gpu/kernel_run.h"
#include "lattice/error.hpp"
#include "model/golden.h"

namespace lattice::gpu {
namespace {

using Tokens = std::vector<std::int32_t>;

/// A small model of linear and full layers on the soft device.
class Model {
 public:
  explicit Model(std::unique_ptr<SoftDevice> device = std::make_unique<SoftDevice>(2),
                 float final_norm = 1.0f)
      : one_(golden::find_case("base")), loaded_(golden::load_model(one_.model)) {
    for (float& weight : loaded_.weights.final_norm) weight *= final_norm;
    backend_ = make_gpu_backend(std::move(device), loaded_.config, loaded_.weights);
  }

  [[nodiscard]] Backend& backend() { return *backend_; }
  [[nodiscard]] std::size_t vocab_size() const { return static_cast<std::size_t>(loaded_.config.vocab_size); }
  [[nodiscard]] Tokens prompt() const {
    const auto& ids = one_.prompts.back().ids;
    return {ids.begin(), ids.begin() + 3};
  }
  [[nodiscard]] DrawOptions greedy(std::int64_t most) const {
    DrawOptions options;
    options.n_ids = loaded_.config.vocab_size;
    options.most = most;
    return options;
  }
  /// A state that holds the prompt.
  [[nodiscard]] std::unique_ptr<State> prompted(std::int64_t capacity = 64) {
    auto state = backend_->new_state(capacity);
    backend_->forward(*state, prompt(), Backend::Logits::kNone, {});
    return state;
  }
  /// Feeds one token; the logits after it.
  std::vector<float> feed(State& state, std::int32_t token) {
    std::vector<float> logits(vocab_size());
    backend_->forward(state, {&token, 1}, Backend::Logits::kLast, logits);
    return logits;
  }

 private:
  golden::Case one_;
  golden::LoadedModel loaded_;
  std::unique_ptr<Backend> backend_;
};

std::int32_t likeliest(const std::vector<float>& logits) {
  return static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin());
}

/// What feeding the likeliest token again and again gives, and the logits on the way.
struct Continuation {
  Tokens tokens;
  std::vector<std::vector<float>> logits;
};
Continuation feed_one_by_one(Model& model, std::int32_t first, int count) {
  Continuation out;
  const auto state = model.prompted();
  for (std::int32_t token = first; std::cmp_less(out.tokens.size(), count); token = out.tokens.back()) {
    out.logits.push_back(model.feed(*state, token));
    out.tokens.push_back(likeliest(out.logits.back()));
  }
  return out;
}

TEST(TokenStream, GivesWhatFeedingOneByOneGives) {
  Model model;
  EXPECT_TRUE(model.backend().has_streams());
  const Continuation expected = feed_one_by_one(model, 5, 40);
  const auto state = model.prompted();
  const auto stream = model.backend().stream(*state, 5, model.greedy(40));
  for (std::size_t i = 0; i < expected.tokens.size(); ++i) {
    ASSERT_EQ(stream->next(), expected.tokens[i]) << i;
    EXPECT_EQ(state->position(), static_cast<std::int64_t>(model.prompt().size() + i + 1));
  }
}

/// Wherever the reader stops, steps have gone further: over a copy, up to one, or not far enough for any.
TEST(TokenStream, TakesBackToTheLastBitWhatWasComputedAhead) {
  Model model;
  constexpr int kMost = 20;
  const Continuation expected = feed_one_by_one(model, 5, kMost);
  for (const int read : {1, 4, 7, 8, 9, 11, 13, 16, 17, kMost}) {
    for (const bool with_logits : {false, true}) {
      const auto state = model.prompted();
      const auto stream = model.backend().stream(*state, 5, model.greedy(kMost));
      for (int i = 0; i < read; ++i) (void)stream->next();
      std::vector<float> logits(with_logits ? model.vocab_size() : 0);
      stream->settle(logits);
      const auto last = static_cast<std::size_t>(read - 1);
      if (with_logits) {
        ASSERT_EQ(logits, expected.logits[last]) << read;
      }
      EXPECT_EQ(state->position(), static_cast<std::int64_t>(model.prompt().size()) + read);
      if (read < kMost) {
        ASSERT_EQ(model.feed(*state, expected.tokens[last]), expected.logits[last + 1]) << read;
      }
    }
  }
}

TEST(TokenStream, GoesOnInAnotherStream) {
  Model model;
  const Continuation expected = feed_one_by_one(model, 5, 24);
  const auto state = model.prompted();
  Tokens tokens{5};
  while (tokens.size() <= expected.tokens.size()) {
    const auto stream = model.backend().stream(*state, tokens.back(), model.greedy(20));
    for (int i = 0; i < 3 && tokens.size() <= expected.tokens.size(); ++i) tokens.push_back(stream->next());
    stream->settle({});
  }
  EXPECT_TRUE(std::equal(expected.tokens.begin(), expected.tokens.end(), tokens.begin() + 1));
}

/// Steps of two sequences in turn, and a forward pass between: they share all but their states.
TEST(TokenStream, SharesTheDevice) {
  Model model;
  const Continuation first = feed_one_by_one(model, 5, 20);
  const Continuation second = feed_one_by_one(model, 9, 20);
  const auto one = model.prompted(), other = model.prompted(), third = model.prompted();
  const auto one_stream = model.backend().stream(*one, 5, model.greedy(20));
  const auto other_stream = model.backend().stream(*other, 9, model.greedy(20));
  for (std::size_t i = 0; i < first.tokens.size(); ++i) {
    EXPECT_EQ(one_stream->next(), first.tokens[i]);
    (void)model.feed(*third, 3);
    EXPECT_EQ(other_stream->next(), second.tokens[i]);
  }
}

TEST(TokenStream, SubmitsNoMoreStepsThanAreWanted) {
  Model model;
  const auto state = model.prompted(/*capacity=*/8);
  const std::int64_t before = model.backend().dispatches();
  const std::int64_t step =
      static_cast<std::int64_t>(dispatches_per_token(model.backend(), 0)) + 2;  // the greedy draw
  const auto stream = model.backend().stream(*state, 5, model.greedy(2));
  (void)stream->next();
  (void)stream->next();
  EXPECT_EQ(model.backend().dispatches() - before, 2 * step + 1);  // a copy
  EXPECT_THROW((void)stream->next(), Error);
  // Nothing was computed ahead, so that nothing is to be taken back.
  stream->settle({});
  EXPECT_EQ(model.backend().dispatches() - before, 2 * step + 1);

  const auto full = model.backend().stream(*state, 5, model.greedy(100));  // three more tokens fit
  for (int i = 0; i < 3; ++i) (void)full->next();
  EXPECT_THROW((void)full->next(), Error);
}

TEST(TokenStream, CountsPhases) {
  Model model;
  const auto state = model.prompted();
  const std::int64_t before = model.backend().phases();
  (void)model.feed(*state, 1);
  const std::int64_t phases = model.backend().phases() - before;
  EXPECT_GT(phases, 0);
  EXPECT_LE(phases, static_cast<std::int64_t>(dispatches_per_token(model.backend(), state->position())));
}

TEST(TokenStream, RefusesWhatDoesNotFit) {
  Model model;
  const auto state = model.prompted();
  const auto vocab = static_cast<std::int32_t>(model.vocab_size());
  EXPECT_THROW((void)model.backend().stream(*state, vocab, model.greedy(4)), Error);
  DrawOptions options = model.greedy(4);
  options.n_ids = vocab + 1;
  EXPECT_THROW((void)model.backend().stream(*state, 1, options), Error);
  options.n_ids = 0;
  EXPECT_THROW((void)model.backend().stream(*state, 1, options), Error);
  options = model.greedy(4);
  options.seen.resize(3);
  EXPECT_THROW((void)model.backend().stream(*state, 1, options), Error);
  options = model.greedy(4);
  options.sampling.top_p = 2;
  EXPECT_THROW((void)model.backend().stream(*state, 1, options), Error);
  const auto full = model.prompted(3);
  EXPECT_THROW((void)model.backend().stream(*full, 1, model.greedy(1)), Error);
}

TEST(TokenStream, SaysThatLogitsAreDamaged) {
  Model model(std::make_unique<SoftDevice>(2), std::numeric_limits<float>::quiet_NaN());
  for (const float temperature : {0.0f, 1.0f}) {
    const auto state = model.prompted();
    DrawOptions options = model.greedy(10);
    options.sampling.temperature = temperature;
    const auto stream = model.backend().stream(*state, 1, options);
    try {
      (void)stream->next();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kInput);
      EXPECT_EQ(std::string(error.what()).find("the model's logit of token 0 is"), 0U) << error.what();
    }
  }
}

TEST(TokenStream, HasNoFindingInCheckingMode) {
  auto owned = std::make_unique<SoftDevice>(std::filesystem::path(LATTICE_SOURCE_DIR) / "src/gpu/kernels", 2);
  const SoftDevice& device = *owned;
  Model model(std::move(owned));
  for (const float temperature : {0.0f, 1.0f}) {
    const auto state = model.prompted();
    DrawOptions options = model.greedy(2);
    options.sampling = {.temperature = temperature, .top_k = 10, .top_p = 0.9f, .presence_penalty = 1};
    options.seen.resize(model.vocab_size());
    const auto stream = model.backend().stream(*state, 1, options);
    (void)stream->next();
    std::vector<float> logits(model.vocab_size());
    stream->settle(logits);
    const auto copy = state->clone();
    EXPECT_EQ(model.feed(*copy, 2), model.feed(*state, 2));
  }
  expect_no_finding(device, 0);
}

}  // namespace
}  // namespace lattice::gpu
