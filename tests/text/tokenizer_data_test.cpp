#include "text/tokenizer_data.h"

#include <string>

#include <gtest/gtest.h>

namespace lattice {
namespace {

const std::filesystem::path kModels = std::filesystem::path(LATTICE_SOURCE_DIR) / "models";

TEST(TokenizerData, ReadsTheShippedModel) {
  const TokenizerData data = TokenizerData::from_json(kModels / "tinystories-qwen35" / "tokenizer.json");
  EXPECT_EQ(data.tokens.size(), 8192u);
  EXPECT_EQ(data.types.size(), 8192u);
  EXPECT_EQ(data.merges.size(), 7931u);
  EXPECT_EQ(data.pre_tokenizer, PreTokenizerKind::kQwen35);
  EXPECT_EQ(data.normalizer, NormalizerKind::kNfc);
  EXPECT_EQ(data.tokens[static_cast<std::size_t>(data.merges[0].result)], "Ġt");
  ASSERT_EQ(data.added_tokens.size(), 5u);
  EXPECT_EQ(data.tokens[8188], "<|im_start|>");
  EXPECT_EQ(data.types[8188], TokenType::kControl);
  EXPECT_EQ(data.types[8190], TokenType::kUserDefined);
  EXPECT_EQ(data.eos_id, 8187);
  EXPECT_EQ(data.pad_id, 8187);
  EXPECT_EQ(data.bos_id, std::nullopt);
}

}  // namespace
}  // namespace lattice
