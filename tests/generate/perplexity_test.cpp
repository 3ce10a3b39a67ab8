#include "lattice/perplexity.hpp"

#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "generate/shipped_model.h"
#include "lattice/error.hpp"
#include "lattice/session.hpp"
#include "model/golden.h"

namespace lattice {
namespace {

using golden::Ids;

/// The bound that the project sets itself, 0.1 % of the perplexity, is 1e-3 of the mean −log p.
void expect_near(const Perplexity& measured, double mean_nll) {
  EXPECT_NEAR(measured.mean_nll, mean_nll, 1e-4);
}

TEST(PerplexityOfTheShippedModel, IsHuggingFaces) {
  const golden::ShippedGolden golden = golden::shipped();
  ASSERT_EQ(golden.text.size(), 4096U);
  for (const std::int64_t n_tokens : {128, 512, 4096}) {
    const double nll = golden.nll_of_first.at(n_tokens);
    const Ids text(golden.text.begin(), golden.text.begin() + n_tokens);
    const Perplexity measured = perplexity(shipped_model(), text);
    EXPECT_EQ(measured.tokens, n_tokens - 1);
    expect_near(measured, nll);
    EXPECT_DOUBLE_EQ(measured.value(), std::exp(measured.mean_nll));
  }
}

/// Windows by the definition: each from an empty session, token by token.
TEST(Perplexity, StartsEveryWindowAfresh) {
  const golden::ShippedGolden golden = golden::shipped();
  const Ids text(golden.text.begin(), golden.text.begin() + 200);
  constexpr std::size_t kWindow = 64;
  Session session(shipped_model());
  double sum = 0;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (i % kWindow == 0) session.reset();
    session.feed(text[i]);
    const std::span<const float> logits = session.logits();
    double total = 0;
    for (const float logit : logits) total += std::exp(double{logit});
    sum += std::log(total) - double{logits[static_cast<std::size_t>(text[i + 1])]};
  }
  const Perplexity measured = perplexity(shipped_model(), text, kWindow);
  EXPECT_EQ(measured.tokens, 199);
  EXPECT_NEAR(measured.mean_nll, sum / 199, 1e-4);
  EXPECT_GT(measured.mean_nll, perplexity(shipped_model(), text).mean_nll);  // less context predicts worse
}

TEST(Perplexity, TakesWindowsThatDoNotDivideTheText) {
  const golden::ShippedGolden golden = golden::shipped();
  const Ids text(golden.text.begin(), golden.text.begin() + 100);
  for (const std::int64_t window : {1, 33, 98, 99, 100, 5000}) {
    EXPECT_EQ(perplexity(shipped_model(), text, window).tokens, 99) << window;
  }
  EXPECT_EQ(perplexity(shipped_model(), text, 99).mean_nll, perplexity(shipped_model(), text).mean_nll);
}

TEST(Perplexity, TellsHowFarItIs) {
  const golden::ShippedGolden golden = golden::shipped();
  const Ids text(golden.text.begin(), golden.text.begin() + 300);
  std::vector<std::int64_t> steps;
  (void)perplexity(shipped_model(), text, 128,
                   [&](std::string_view what, std::int64_t done, std::int64_t total) {
                     EXPECT_EQ(what, "perplexity");
                     EXPECT_EQ(total, 299);
                     steps.push_back(done);
                   });
  EXPECT_EQ(steps, (std::vector<std::int64_t>{128, 256, 299}));
}

std::string error_of(const Ids& text, std::int64_t window = 0) {
  try {
    (void)perplexity(shipped_model(), text, window);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUsage);
    return error.what();
  }
  return {};
}

TEST(Perplexity, RefusesWhatCannotBeMeasured) {
  EXPECT_EQ(error_of({}), "perplexity needs at least two tokens, and 0 were given");
  EXPECT_EQ(error_of({5}), "perplexity needs at least two tokens, and 1 were given");
  EXPECT_EQ(error_of({1, -1, 2}), "token 1 has the id -1, which is outside the model's vocabulary of 8192");
  EXPECT_EQ(error_of({1, 2, 8192}),
            "token 2 has the id 8192, which is outside the model's vocabulary of 8192");
  EXPECT_EQ(error_of({1, 2}, -1), "the window is -1, not 0 (all at once) or more");
  const auto longest = shipped_model().max_context();
  const Ids too_long(static_cast<std::size_t>(longest + 2), 1);
  EXPECT_NE(error_of(too_long).find("longer than the model's longest context"), std::string::npos);
  EXPECT_NE(error_of(too_long, longest + 1), "");
}

}  // namespace
}  // namespace lattice
