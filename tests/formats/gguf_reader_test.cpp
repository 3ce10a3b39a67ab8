#include "formats/gguf_reader.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "formats/fixtures.h"
#include "formats/gguf_types.h"

namespace lattice {
namespace {

using namespace std::string_view_literals;

class EveryType : public testing::Test {
 protected:
  ExactBytes bytes_{file_contents(fixture("every_type.gguf"))};
  GgufFile file_ = read_gguf("every_type.gguf", bytes_.span());
};

TEST_F(EveryType, MetadataKeepsItsValues) {
  const GgufMetadata& metadata = file_.metadata;
  EXPECT_EQ(metadata.get_int("test.u8"), 200);
  EXPECT_EQ(metadata.get_int("test.i8"), -100);
  EXPECT_EQ(metadata.get_int("test.u16"), 60000);
  EXPECT_EQ(metadata.get_int("test.i16"), -30000);
  EXPECT_EQ(metadata.get_int("test.u32"), 4000000000);
  EXPECT_EQ(metadata.get_int("test.i32"), -2000000000);
  EXPECT_EQ(metadata.get_int("test.i64"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(metadata.all().at("test.u64"), GgufMetadata::Value(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_EQ(metadata.get_float("test.f32"), 0.15625);
  EXPECT_EQ(metadata.get_float("test.f64"), 1e300);
  EXPECT_EQ(metadata.find_bool("test.bool"), true);
  EXPECT_EQ(metadata.get_string("test.string"), "grüße\n");
  EXPECT_EQ(metadata.get_strings("test.strings"), (GgufMetadata::StringArray{"Ġthe", "", "日本"}));
  EXPECT_EQ(*metadata.find_ints("test.ints"), (GgufMetadata::IntArray{-1, 0, 2147483647}));
  EXPECT_EQ(*metadata.find_floats("test.floats"), (GgufMetadata::FloatArray{0.5, -2.0}));
  EXPECT_EQ(*metadata.find_ints("test.bools"), (GgufMetadata::IntArray{1, 0}));
}

TEST_F(EveryType, AbsentKeysAreNothingOrAnError) {
  const GgufMetadata& metadata = file_.metadata;
  EXPECT_EQ(metadata.find_int("no"), std::nullopt);
  EXPECT_EQ(metadata.find_float("no"), std::nullopt);
  EXPECT_EQ(metadata.find_bool("no"), std::nullopt);
  EXPECT_EQ(metadata.find_string("no"), std::nullopt);
  EXPECT_EQ(metadata.find_strings("no"), nullptr);
  EXPECT_EQ(metadata.find_ints("no"), nullptr);
  EXPECT_EQ(metadata.find_floats("no"), nullptr);
  const std::string missing = "every_type.gguf: metadata key \"no\" is missing";
  EXPECT_EQ(error_of([&] { (void)metadata.get_int("no"); }), missing);
  EXPECT_EQ(error_of([&] { (void)metadata.get_float("no"); }), missing);
  EXPECT_EQ(error_of([&] { (void)metadata.get_string("no"); }), missing);
  EXPECT_EQ(error_of([&] { (void)metadata.get_strings("no"); }), missing);
  EXPECT_EQ(error_of([&] { (void)metadata.encoded("no"); }), missing);
}

TEST_F(EveryType, WrongTypesAreErrorsThatNameFileAndKey) {
  const GgufMetadata& metadata = file_.metadata;
  const auto expect_error = [](const auto& action, std::string_view key) {
    const std::string message = error_of(action);
    EXPECT_NE(message.find("every_type.gguf: metadata key \"" + std::string(key) + "\" is not "),
              std::string::npos)
        << message;
  };
  expect_error([&] { (void)metadata.find_int("test.string"); }, "test.string");
  expect_error([&] { (void)metadata.find_int("test.u64"); }, "test.u64");  // does not fit
  expect_error([&] { (void)metadata.find_int("test.f32"); }, "test.f32");
  expect_error([&] { (void)metadata.find_float("test.u8"); }, "test.u8");
  expect_error([&] { (void)metadata.find_bool("test.u8"); }, "test.u8");
  expect_error([&] { (void)metadata.find_string("test.strings"); }, "test.strings");
  expect_error([&] { (void)metadata.find_strings("test.ints"); }, "test.ints");
  expect_error([&] { (void)metadata.find_ints("test.floats"); }, "test.floats");
  expect_error([&] { (void)metadata.find_floats("test.ints"); }, "test.ints");
}

TEST_F(EveryType, TensorsOfEveryTypeHaveTheirSizeAndBytes) {
  ASSERT_EQ(file_.tensors.size(), 34u);
  EXPECT_EQ(file_.tensors[0].name, "grid");
  EXPECT_EQ(file_.tensors[0].shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(reinterpret_cast<const float*>(file_.tensors[0].data.data())[5], 2.5f);
  for (std::size_t i = 1; i < file_.tensors.size(); ++i) {
    const Tensor& tensor = file_.tensors[i];
    SCOPED_TRACE(tensor.name);
    const GgmlType* type = find_ggml_type(tensor.type_name);
    ASSERT_NE(type, nullptr);
    EXPECT_EQ(tensor.name, "type." + tensor.type_name);
    EXPECT_EQ(tensor.dtype, type->dtype);
    EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{3, type->block_elements}));
    for (std::size_t byte = 0; byte < 3 * static_cast<std::size_t>(type->block_bytes); ++byte) {
      ASSERT_EQ(static_cast<unsigned>(tensor.data[byte]), (7 * byte + type->id) % 256);
    }
  }
}

TEST(GgufReader, ReadsVersion2) {
  const ExactBytes bytes(file_contents(fixture("version_2.gguf")));
  const GgufFile file = read_gguf("version_2.gguf", bytes.span());
  EXPECT_EQ(file.metadata.get_strings("test.strings"), (GgufMetadata::StringArray{"a", "bc"}));
  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.tensors[1].data.size(), 12u);
}

TEST(GgufReader, HonoursTheAlignmentKey) {
  const ExactBytes bytes(file_contents(fixture("small.gguf")));
  const GgufFile file = read_gguf("small.gguf", bytes.span());
  EXPECT_EQ(file.metadata.get_int(kGgufAlignmentKey), 64);
  for (const Tensor& tensor : file.tensors) EXPECT_EQ((tensor.data.data() - bytes.span().data()) % 64, 0);
}

TEST(GgufTypes, UnknownIdsAndNamesAreNoTypes) {
  for (const std::uint32_t id : {4u, 5u, 31u, 38u, 42u, 0xffffffffu}) EXPECT_EQ(find_ggml_type(id), nullptr);
  EXPECT_EQ(find_ggml_type("Q9_9"sv), nullptr);
  EXPECT_EQ(error_of([] { (void)ggml_type(DType::kAffine); }), "GGUF has no type for affine tensors");
}

TEST(GgufTypes, AgreeWithTheBlocksThatWeComputeWith) {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
        DType::kQ5_1, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const GgmlType& type = ggml_type(dtype);
    EXPECT_EQ(type.name, dtype_name(dtype));
    EXPECT_EQ(type.block_elements, block_elements(dtype));
    EXPECT_EQ(type.block_bytes, block_bytes(dtype));
  }
}

}  // namespace
}  // namespace lattice
