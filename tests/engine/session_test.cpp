#include "lattice/session.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lattice/error.hpp"
#include "model/golden.h"

namespace lattice {
namespace {

using golden::Ids;

Token likeliest(std::span<const float> logits) {
  return static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

TEST(Session, ContinuesTheShippedModelsPromptAsHuggingFaceDoes) {
  const Model model = Model::load(golden::shipped_model_path());
  const golden::ShippedGolden expected = golden::shipped();
  Session session(model);
  for (const golden::ShippedPrompt& prompt : expected.prompts) {
    session.sync(prompt.ids);
    for (const Token token : prompt.continuation) {
      ASSERT_EQ(likeliest(session.logits()), token);
      session.feed(token);
    }
  }
}

}  // namespace
}  // namespace lattice
