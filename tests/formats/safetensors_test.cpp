#include "formats/safetensors.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "formats/byte_writer.h"
#include "formats/fixtures.h"

namespace lattice {
namespace {

std::string file_of(std::string_view header, std::size_t data_bytes) {
  ByteWriter out;
  out.put_string(header);
  for (std::size_t i = 0; i < data_bytes; ++i) out.put(std::uint8_t{1});
  return {reinterpret_cast<const char*>(out.bytes().data()), out.bytes().size()};
}

std::string safetensors_error(std::string_view contents) {
  const ExactBytes bytes(contents);
  return error_of([&] { (void)read_safetensors("bad.safetensors", bytes.span()); });
}

struct SafetensorsCase {
  const char* name;
  std::string contents;
  std::string_view field;  // what the message must name, besides the file
};

std::string with_length(std::uint64_t length) {
  ByteWriter out;
  out.put(length);
  out.put_bytes(std::as_bytes(std::span(std::string_view("{}      "))));
  return {reinterpret_cast<const char*>(out.bytes().data()), out.bytes().size()};
}

std::vector<SafetensorsCase> hostile_safetensors_headers() {
  return {
      {"Empty", "", "the header length needs 8 bytes"},
      {"LengthCutOff", "\1\2\3", "the header length needs 8 bytes"},
      {"LengthPastEnd", with_length(9), "a header of 9 bytes"},
      {"LengthHuge", with_length(0xffff'ffff'ffff'ffff), "a header of 18446744073709551615 bytes"},
      {"LengthZero", with_length(0), "not valid JSON"},
      {"NotJson", file_of("{\"a\" 1}", 0), "not valid JSON at line 1"},
      {"NotAnObject", file_of("[]", 0), "the header is not a JSON object"},
      {"Nested", file_of(std::string(100'000, '['), 0), "nested deeper than"},
      {"KeyTwice", file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{}})", 1),
       "\"a\" occurs twice"},
      {"NotUtf8", file_of("{\"\xff\":1}", 0), "ill-formed UTF-8"},
  };
}

std::vector<SafetensorsCase> hostile_safetensors_tensors() {
  const auto one = [](std::string_view entry) { return file_of("{\"t\":" + std::string(entry) + "}", 16); };
  return {
      {"NameEmpty", file_of(R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
       "tensor name is empty"},
      {"NotAnObject", one("[1]"), "\"t\" is not described by a JSON object"},
      {"NoDtype", one(R"({"shape":[4],"data_offsets":[0,16]})"), "\"t\" has no dtype"},
      {"NoShape", one(R"({"dtype":"F32","data_offsets":[0,16]})"), "\"t\" has no shape"},
      {"NoOffsets", one(R"({"dtype":"F32","shape":[4]})"), "\"t\" has no data_offsets"},
      {"DtypeUnknown", one(R"({"dtype":"F31","shape":[4],"data_offsets":[0,16]})"),
       "\"t\" has the unknown dtype \"F31\""},
      {"DtypeNumber", one(R"({"dtype":7,"shape":[4],"data_offsets":[0,16]})"),
       "\"t\": dtype is not a string"},
      {"ShapeNegative", one(R"({"dtype":"F32","shape":[-4],"data_offsets":[0,16]})"), "\"t\": shape holds"},
      {"ShapeFraction", one(R"({"dtype":"F32","shape":[4.0],"data_offsets":[0,16]})"), "\"t\": shape holds"},
      {"ShapeHuge", one(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,16]})"),
       "\"t\": shape holds"},
      {"ShapeAbove64Bits", one(R"({"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,16]})"),
       "\"t\": shape holds"},
      {"ShapeNumber", one(R"({"dtype":"F32","shape":4,"data_offsets":[0,16]})"),
       "\"t\": shape is not an array"},
      {"ShapeObject", one(R"({"dtype":"F32","shape":{"4":4},"data_offsets":[0,16]})"),
       "\"t\": shape is not an array"},
      {"Dimensions17",
       one(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})"),
       "\"t\": shape is not an array of at most 16"},
      {"ShapeOverflows", one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]})"),
       "is too large"},
      {"BitsOverflow", one(R"({"dtype":"F64","shape":[288230376151711744],"data_offsets":[0,16]})"),
       "is too large"},
      {"HalfAByte", one(R"({"dtype":"F4","shape":[3],"data_offsets":[0,16]})"),
       "not a whole number of bytes"},
      {"SizeTooSmall", one(R"({"dtype":"F32","shape":[4],"data_offsets":[0,8]})"),
       "takes 16 bytes, but data_offsets span 8"},
      {"SizeTooLarge", one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,16]})"),
       "takes 12 bytes, but data_offsets span 16"},
      {"OffsetsSwapped", one(R"({"dtype":"F32","shape":[4],"data_offsets":[16,0]})"),
       "\"t\": data_offsets are not"},
      {"OffsetsOne", one(R"({"dtype":"F32","shape":[4],"data_offsets":[0]})"), "\"t\": data_offsets are not"},
      {"OffsetsThree", one(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16,32]})"),
       "\"t\": data_offsets is not an array"},
      {"OffsetsNegative", one(R"({"dtype":"F32","shape":[4],"data_offsets":[-16,0]})"),
       "\"t\": data_offsets holds"},
      {"EndPastEnd", one(R"({"dtype":"F32","shape":[5],"data_offsets":[0,20]})"),
       "\"t\": data_offsets end at 20"},
      {"EndHuge",
       one(R"({"dtype":"F32","shape":[4],"data_offsets":[9223372036854775791,9223372036854775807]})"),
       "\"t\": data_offsets end at 9223372036854775807"},
      {"Gap", one(R"({"dtype":"F32","shape":[3],"data_offsets":[4,16]})"),
       "4 bytes before the data of tensor \"t\""},
      {"Rest", one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})"),
       "the last 4 bytes belong to no tensor"},
      {"OnlyRest", file_of("{}", 3), "the last 3 bytes belong to no tensor"},
      {"Overlap",
       file_of(
           R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
           4),
       "\"a\" and \"b\" overlap"},
      {"EmptyInside",
       file_of(
           R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
           4),
       "\"a\" and \"b\" overlap"},
  };
}

std::vector<SafetensorsCase> all_safetensors_cases() {
  std::vector<SafetensorsCase> cases = hostile_safetensors_headers();
  for (SafetensorsCase& c : hostile_safetensors_tensors()) cases.push_back(std::move(c));
  return cases;
}

class HostileSafetensors : public testing::TestWithParam<SafetensorsCase> {};

TEST_P(HostileSafetensors, IsAnErrorThatNamesFileAndField) {
  const std::string message = safetensors_error(GetParam().contents);
  EXPECT_TRUE(message.starts_with("bad.safetensors: ")) << message;
  EXPECT_NE(message.find(GetParam().field), std::string::npos) << message;
  EXPECT_LT(message.size(), 400u);
}

INSTANTIATE_TEST_SUITE_P(All, HostileSafetensors, testing::ValuesIn(all_safetensors_cases()),
                         [](const auto& test) { return test.param.name + std::to_string(test.index); });

TEST(Safetensors, ReadsFilesWithoutTensorsAndEmptyTensorsAnywhere) {
  EXPECT_EQ(safetensors_error(file_of("{}", 0)), "");
  EXPECT_EQ(safetensors_error(file_of(R"({"__metadata__":{"format":"pt"}}   )", 0)), "");
  EXPECT_EQ(safetensors_error(
                file_of(R"({"__metadata__":null,"e":{"dtype":"F32","shape":[0,3],"data_offsets":[2,2]},)"
                        R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                        R"("b":{"dtype":"F4","shape":[2,2],"data_offsets":[2,4]}})",
                        4)),
            "");
}

TEST(Safetensors, OrdersTensorsByTheirData) {
  const ExactBytes bytes(file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                                 R"("b":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})",
                                 3));
  const std::vector<Tensor> tensors = read_safetensors("x", bytes.span());
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_EQ(tensors[1].name, "a");
}

TEST(Safetensors, TruncationAtAnyByteIsAnError) {
  for (const char* name : {"hugging_face/model.safetensors", "mlx/model.safetensors"}) {
    const std::string whole = file_contents(fixture(name));
    ASSERT_EQ(safetensors_error(whole), "");
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string message = safetensors_error(std::string_view(whole).substr(0, size));
      ASSERT_TRUE(message.starts_with("bad.safetensors: ")) << size << message;
    }
  }
}

TEST(Safetensors, AnyOneChangedByteIsAnErrorOrReadable) {
  const std::string whole = file_contents(fixture("mlx/model.safetensors"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const unsigned char value : {0x00, 0x20, 0x22, 0x39, 0x7d, 0x80, 0xff}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(value);
      const std::string message = safetensors_error(changed);
      ASSERT_TRUE(message.empty() || message.starts_with("bad.safetensors: ")) << message;
    }
  }
}

}  // namespace
}  // namespace lattice
