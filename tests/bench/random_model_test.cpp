#include "bench/random_model.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "bench/shapes.h"
#include "lattice/error.hpp"

namespace lattice::bench {
namespace {

/// A family member that takes little time, in the proportions of the smallest. Every matrix's columns come in
/// whole super-blocks.
Config small_config(bool tied) {
  Config config = shape_config("0.8b");
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.vocab_size = 256;
  config.layers.resize(4);
  config.attention_heads = 2;
  config.kv_heads = 1;
  config.head_dim = 128;
  config.rotary_dim = 64;
  config.linear_k_heads = 2;
  config.linear_v_heads = 2;
  config.linear_head_dim = 128;
  config.tie_word_embeddings = tied;
  return config;
}

std::vector<float> values_of(const MatrixView& matrix) {
  std::vector<float> all;
  std::vector<float> row(static_cast<std::size_t>(matrix.cols));
  for (std::int64_t r = 0; r < matrix.rows; ++r) {
    dequantize_row(matrix, r, row);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

class RandomTypes : public testing::TestWithParam<DType> {};

TEST_P(RandomTypes, ElementsAreOfTheSizeThatKeepsActivations) {
  ThreadPool pool(2);
  const std::int64_t cols = 1024;
  const RandomMatrix matrix(GetParam(), 64, cols, 3, pool);
  double squares = 0;
  double sum = 0;
  std::size_t zeros = 0;
  const std::vector<float> values = values_of(matrix.view());
  for (const float value : values) {
    ASSERT_TRUE(std::isfinite(value));
    squares += static_cast<double>(value) * value;
    sum += value;
    zeros += value == 0.0f;
  }
  const auto n = static_cast<double>(values.size());
  const double wanted = 1 / std::sqrt(static_cast<double>(cols));
  // Exponents are whole, so that floats may be off by half a power of two.
  EXPECT_GT(std::sqrt(squares / n), wanted / 1.5);
  EXPECT_LT(std::sqrt(squares / n), wanted * 1.5);
  EXPECT_LT(std::fabs(sum / n), wanted * 0.2);  // Q4_0 codes are −8 … 7, half a step off the middle
  EXPECT_LT(static_cast<double>(zeros) / n, 0.1);
}

TEST_P(RandomTypes, AreTheSameAtAnyNumberOfThreads) {
  ThreadPool one(1);
  ThreadPool three(3);
  const RandomMatrix a(GetParam(), 7, 256, 5, one);
  const RandomMatrix b(GetParam(), 7, 256, 5, three);
  const RandomMatrix other(GetParam(), 7, 256, 6, one);
  EXPECT_EQ(values_of(a.view()), values_of(b.view()));
  EXPECT_NE(values_of(a.view()), values_of(other.view()));
}

TEST_P(RandomTypes, AModelHasTheShapesThatItsConfigurationNames) {
  ThreadPool pool(2);
  const Config config = small_config(false);
  const RandomModel model(config, GetParam(), pool);
  const Weights& weights = model.weights();
  ASSERT_EQ(weights.layers.size(), 4u);
  const auto expect_shape = [&](const MatrixView& matrix, std::int64_t rows, std::int64_t cols) {
    EXPECT_EQ(matrix.rows, rows);
    EXPECT_EQ(matrix.cols, cols);
    EXPECT_EQ(matrix.dtype, GetParam());
  };
  expect_shape(weights.head, 256, 256);
  expect_shape(std::get<LinearMixer>(weights.layers[0].mixer).qkv, config.conv_dim(), 256);
  expect_shape(std::get<FullMixer>(weights.layers[3].mixer).q, 2 * config.q_dim(), 256);
  expect_shape(weights.layers[2].down, 256, 512);

  // No two matrices are the same bytes, embedding and head included.
  std::set<const std::byte*> places = {weights.embed.data, weights.head.data};
  for (const Layer& layer : weights.layers) places.insert({layer.gate.data, layer.up.data, layer.down.data});
  EXPECT_EQ(places.size(), 2 + 3 * weights.layers.size());
  EXPECT_NE(values_of(weights.layers[0].down), values_of(weights.layers[1].down));
  for (const float rate : std::get<LinearMixer>(weights.layers[0].mixer).decay_rate) EXPECT_LT(rate, 0);
}

std::string type_name(const testing::TestParamInfo<DType>& info) {
  return std::string(dtype_name(info.param));
}
INSTANTIATE_TEST_SUITE_P(All, RandomTypes, testing::ValuesIn(random_types()), type_name);

TEST(RandomModel, ATiedHeadIsTheEmbedding) {
  ThreadPool pool(1);
  const RandomModel model(small_config(true), DType::kBF16, pool);
  EXPECT_EQ(model.weights().head.data, model.weights().embed.data);
}

TEST(RandomModel, HasAHeadThatGuessesAheadWhereTheConfigurationHas) {
  ThreadPool pool(1);
  Config config = small_config(true);
  EXPECT_FALSE(RandomModel(config, DType::kQ8_0, pool).weights().mtp.has_value());
  const std::int64_t without = RandomModel::matrix_bytes(config, DType::kF32);
  config.mtp = true;
  const RandomModel model(config, DType::kQ8_0, pool);
  ASSERT_TRUE(model.weights().mtp.has_value());
  const MtpHead& head = *model.weights().mtp;
  EXPECT_EQ(head.fc.rows, 256);
  EXPECT_EQ(head.fc.cols, 512);
  EXPECT_EQ(std::get<FullMixer>(head.layer.mixer).k.rows, config.kv_dim());
  EXPECT_EQ(head.norm.size(), 256u);
  EXPECT_EQ(head.layer.mlp_norm.size(), 256u);
  // fc, q and its gate, k, v and o, and the three of the MLP.
  const std::int64_t elements = 256 * 512 + 256 * (3 * config.q_dim() + 2 * config.kv_dim()) + 3 * 256 * 512;
  EXPECT_EQ(RandomModel::matrix_bytes(config, DType::kF32) - without, 4 * elements);
}

TEST(RandomModel, TakesLittleMoreThanItsLargestMatrix) {
  const Config config = shape_config("0.8b");
  const std::int64_t largest = config.vocab_size * config.hidden_size * 2;
  EXPECT_LT(RandomModel::pool_bytes(config, DType::kBF16), largest + largest / 10);
  // The whole is what one would count by hand: 752,393,024 parameters, small tensors aside.
  EXPECT_NEAR(static_cast<double>(RandomModel::matrix_bytes(config, DType::kBF16)), 2 * 752.39e6, 4e6);
}

TEST(Shapes, AreThoseOfTheReleasedModels) {
  // Parameters of the matrices, from the released checkpoints' totals; small tensors are below a thousandth.
  for (const auto& [name, parameters] :
       {std::pair{"0.8b", 752'393'024.0}, std::pair{"2b", 1'881'825'088.0}, std::pair{"4b", 4'205'751'296.0},
        std::pair{"9b", 8'953'803'264.0}, std::pair{"27b", 26'895'998'464.0}}) {
    const Config config = shape_config(name);
    double elements =
        config.tie_word_embeddings ? 0.0 : static_cast<double>(config.vocab_size * config.hidden_size);
    for (const MatrixShape& shape : matrix_shapes(config)) {
      elements += static_cast<double>(shape.rows * shape.cols * shape.count);
    }
    EXPECT_NEAR(elements / parameters, 1.0, 1e-3) << name;
  }
}

TEST(Shapes, OtherNamesAreRefused) {
  EXPECT_THROW((void)shape_config("7b"), Error);
  EXPECT_THROW((void)random_type("q2_k"), Error);
  EXPECT_THROW((void)random_type("q8"), Error);
  EXPECT_EQ(random_type("q8_0"), DType::kQ8_0);
}

}  // namespace
}  // namespace lattice::bench
