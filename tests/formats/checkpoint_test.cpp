#include "formats/checkpoint.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "formats/fixtures.h"
#include "formats/gguf_metadata.h"

namespace lattice {
namespace {

namespace fs = std::filesystem;

using Shape = std::vector<std::int64_t>;

template <typename T>
std::vector<T> values_of(const Tensor& tensor) {
  std::vector<T> out(tensor.data.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), tensor.data.data(), tensor.data.size());
  return out;
}

const Tensor& tensor_of(const Checkpoint& checkpoint, std::string_view name) {
  const Tensor* tensor = checkpoint.find(name);
  if (tensor == nullptr) throw Error("no tensor " + std::string(name));
  return *tensor;
}

TEST(HuggingFaceCheckpoint, ReadsTheOfficialLibrarysFile) {
  const auto checkpoint = Checkpoint::open(fixture("hugging_face"));
  EXPECT_EQ(checkpoint->kind(), CheckpointKind::kSafetensors);
  EXPECT_EQ(checkpoint->path(), fixture("hugging_face"));
  EXPECT_EQ(checkpoint->config_json()->at("hidden_size"), 4);
  EXPECT_EQ(checkpoint->generation_config_json()->at("temperature"), 0.5);
  EXPECT_EQ(checkpoint->gguf(), nullptr);
  ASSERT_EQ(checkpoint->tensors().size(), 5u);

  const Tensor& matrix = tensor_of(*checkpoint, "matrix");
  EXPECT_EQ(matrix.shape, (Shape{2, 4}));
  EXPECT_EQ(matrix.dtype, DType::kF32);
  EXPECT_EQ(values_of<float>(matrix), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
  const Tensor& half = tensor_of(*checkpoint, "half");
  EXPECT_EQ(half.dtype, DType::kF16);
  EXPECT_EQ(values_of<std::uint16_t>(half), (std::vector<std::uint16_t>{0, 0x3c00, 0x4000}));
  const Tensor& scalar = tensor_of(*checkpoint, "scalar");
  EXPECT_EQ(scalar.shape, Shape{});
  EXPECT_EQ(scalar.dtype, std::nullopt);
  EXPECT_EQ(scalar.type_name, "I64");
  EXPECT_EQ(values_of<std::int64_t>(scalar), (std::vector<std::int64_t>{7}));
  EXPECT_EQ(tensor_of(*checkpoint, "empty").data.size(), 0u);
  EXPECT_EQ(tensor_of(*checkpoint, "mask").type_name, "BOOL");
  EXPECT_EQ(checkpoint->find("matri"), nullptr);
  EXPECT_EQ(checkpoint->find(""), nullptr);
}

TEST(HuggingFaceCheckpoint, ReadsShards) {
  const auto checkpoint = Checkpoint::open(fixture("sharded"));
  ASSERT_EQ(checkpoint->tensors().size(), 3u);
  EXPECT_EQ(checkpoint->generation_config_json(), nullptr);
  EXPECT_EQ(values_of<float>(tensor_of(*checkpoint, "b")), (std::vector<float>{1, 1, 1}));
  EXPECT_EQ(tensor_of(*checkpoint, "c").shape, Shape{4});
}

TEST(MlxCheckpoint, ExposesPackedTensorsAsTheyAre) {
  const auto checkpoint = Checkpoint::open(fixture("mlx"));
  EXPECT_EQ(checkpoint->kind(), CheckpointKind::kMlx);
  const Tensor& weight = tensor_of(*checkpoint, "linear.weight");
  EXPECT_EQ(weight.dtype, std::nullopt);
  EXPECT_EQ(weight.type_name, "U32");
  EXPECT_EQ(weight.shape, (Shape{2, 8}));
  const auto bytes = values_of<std::uint8_t>(weight);
  ASSERT_EQ(bytes.size(), 64u);
  for (std::size_t i = 0; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], (i * 7 + 3) % 256);
  EXPECT_EQ(tensor_of(*checkpoint, "linear.scales").dtype, DType::kBF16);
}

TEST(GgufCheckpoint, ReadsAWholeFile) {
  const auto checkpoint = Checkpoint::open(fixture("small.gguf"));
  EXPECT_EQ(checkpoint->kind(), CheckpointKind::kGguf);
  EXPECT_EQ(checkpoint->config_json(), nullptr);
  EXPECT_EQ(checkpoint->generation_config_json(), nullptr);
  EXPECT_EQ(checkpoint->gguf()->get_string("general.architecture"), "test");
  EXPECT_EQ(values_of<float>(tensor_of(*checkpoint, "first")), (std::vector<float>{0, 1, 2, 3}));
  EXPECT_EQ(tensor_of(*checkpoint, "second").shape, (Shape{3, 2}));
}

TEST(GgufCheckpoint, OpensASplitModelFromAnyPart) {
  for (const char* part : {"split/model-00001-of-00003.gguf", "split/model-00002-of-00003.gguf",
                           "split/model-00003-of-00003.gguf"}) {
    const auto checkpoint = Checkpoint::open(fixture(part));
    EXPECT_EQ(checkpoint->path(), fixture(part));
    EXPECT_EQ(checkpoint->gguf()->get_string("test.string"), "in the first part");
    ASSERT_EQ(checkpoint->tensors().size(), 5u);
    for (int i = 0; i < 5; ++i) {
      const Tensor& tensor = checkpoint->tensors()[static_cast<std::size_t>(i)];
      EXPECT_EQ(tensor.name, "blk." + std::to_string(i) + ".weight");
      EXPECT_EQ(values_of<float>(tensor), std::vector<float>(8, static_cast<float>(i)));
    }
  }
}

}  // namespace
}  // namespace lattice
