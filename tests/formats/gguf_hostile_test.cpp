#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "formats/byte_writer.h"
#include "formats/fixtures.h"
#include "formats/gguf_reader.h"
#include "formats/gguf_types.h"

namespace lattice {
namespace {

using namespace std::string_view_literals;

constexpr std::uint64_t kHuge = 0xffff'ffff'ffff'ffff;

/// Puts GGUF files together, correct or not.
class FileBuilder {
 public:
  FileBuilder& header(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3,
                      std::string_view magic = "GGUF") {
    out_.put_bytes(std::as_bytes(std::span(magic)));
    return number(version).number(tensors).number(pairs);
  }
  template <typename T>
  FileBuilder& number(T value) {
    out_.put(value);
    return *this;
  }
  FileBuilder& string(std::string_view text) {
    out_.put_string(text);
    return *this;
  }
  FileBuilder& key(std::string_view name, std::uint32_t type) { return string(name).number(type); }
  FileBuilder& tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type,
                      std::uint64_t offset) {
    string(name).number(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) number(dim);
    return number(type).number(offset);
  }
  FileBuilder& align(std::size_t alignment = 32) {
    while (out_.bytes().size() % alignment != 0) number(std::uint8_t{0});
    return *this;
  }
  FileBuilder& data(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) number(std::uint8_t{1});
    return *this;
  }
  [[nodiscard]] std::string text() const {
    return {reinterpret_cast<const char*>(out_.bytes().data()), out_.bytes().size()};
  }

 private:
  ByteWriter out_;
};

std::string gguf_error(std::string_view contents) {
  const ExactBytes bytes(contents);
  return error_of([&] { (void)read_gguf("bad.gguf", bytes.span()); });
}

constexpr std::uint32_t kU8 = 0, kU32 = 4, kBool = 7, kString = 8, kArray = 9, kU64 = 10;
constexpr std::uint32_t kF32 = 0, kQ8_0 = 8;

struct GgufCase {
  const char* name;
  FileBuilder file;
  std::string_view field;  // what the message must name, besides the file
};

std::vector<GgufCase> hostile_gguf_headers() {
  return {
      {"WrongMagic", FileBuilder().header(0, 0, 3, "GGML"), "not a GGUF file"},
      {"Version1", FileBuilder().header(0, 0, 1), "version 1"},
      {"Version0", FileBuilder().header(0, 0, 0), "version 0"},
      {"Version4", FileBuilder().header(0, 0, 4), "version 4"},
      {"BigEndian", FileBuilder().header(0, 0, 0x03000000), "big-endian"},
      {"TensorCountHuge", FileBuilder().header(kHuge, 0).data(64), "tensor count"},
      {"TensorCountAboveFile", FileBuilder().header(4, 0).data(64), "tensor count"},
      {"PairCountHuge", FileBuilder().header(0, kHuge).data(64), "metadata count"},
      {"PairCountAboveFile", FileBuilder().header(0, 6).data(64), "metadata count"},
  };
}

std::vector<GgufCase> hostile_metadata() {
  const auto one = [] { return FileBuilder().header(0, 1); };
  return {
      {"KeyOf4GiB", one().number(std::uint64_t{1} << 32).data(64), "a metadata key needs 4294967296 bytes"},
      {"KeyHuge", one().number(kHuge).data(64), "a metadata key needs"},
      {"KeyEmpty", one().key("", kU32).number(1u), "metadata key is empty"},
      {"KeyTooLong", one().key(std::string(70000, 'k'), kU32).number(1u), "70000 bytes long"},
      {"KeyNotUtf8", one().key("a\xff", kU32).number(1u), "\"a\\xff\" is not UTF-8"},
      {"KeyTwice", FileBuilder().header(0, 2).key("k", kU32).number(1u).key("k", kU32).number(1u),
       "\"k\" occurs twice"},
      {"ValueOfUnknownType", one().key("k", 13).data(8), "\"k\" has the unknown type 13"},
      {"ValueOfUnknownTypeHuge", one().key("k", 0xffffffff).data(8), "\"k\" has the unknown type 4294967295"},
      {"ValueCutOff", one().key("k", kU64).number(1u), "\"k\" needs 8 bytes"},
      {"BoolOf2", one().key("k", kBool).number(std::uint8_t{2}), "\"k\" is a boolean with the value 2"},
      {"StringOf4GiB", one().key("k", kString).number(std::uint64_t{1} << 32).data(9),
       "\"k\" needs 4294967296 bytes"},
      {"StringHuge", one().key("k", kString).number(kHuge).data(9), "\"k\" needs 18446744073709551615 bytes"},
      {"ArrayHuge", one().key("k", kArray).number(kU8).number(kHuge).data(9),
       "\"k\" has 18446744073709551615 elements"},
      {"ArrayWrapsAround", one().key("k", kArray).number(kU64).number((kHuge >> 3) + 2).data(64),
       "\"k\" has"},
      {"ArrayOfStringsAboveFile", one().key("k", kArray).number(kString).number(std::uint64_t{8}).data(63),
       "\"k\" has 8"},
      {"ArrayOfStringsCutOff",
       one().key("k", kArray).number(kString).number(std::uint64_t{2}).string("abcdefgh"),
       "\"k\" needs 8 bytes"},
      {"ArrayOfArrays",
       one().key("k", kArray).number(kArray).number(std::uint64_t{1}).number(kU8).number(std::uint64_t{0}),
       "\"k\" is an array of arrays"},
      {"ArrayOfUnknownType", one().key("k", kArray).number(99u).number(std::uint64_t{0}),
       "\"k\" is an array of the unknown"},
      {"ArrayOfU64TooLarge", one().key("k", kArray).number(kU64).number(std::uint64_t{1}).number(kHuge),
       "\"k\": element 0 does not fit"},
      {"AlignmentZero", one().key("general.alignment", kU32).number(0u), "general.alignment is 0"},
      {"AlignmentOdd", one().key("general.alignment", kU32).number(48u), "general.alignment is 48"},
      {"AlignmentTiny", one().key("general.alignment", kU32).number(4u), "general.alignment is 4"},
      {"AlignmentHuge", one().key("general.alignment", kU64).number(std::uint64_t{1} << 63),
       "\"general.alignment\" is not"},
      {"AlignmentString", one().key("general.alignment", kString).string("32"),
       "\"general.alignment\" is not an integer"},
  };
}

std::vector<GgufCase> hostile_gguf_tensors() {
  const auto one = [] { return FileBuilder().header(1, 0); };
  const auto two = [] { return FileBuilder().header(2, 0); };
  return {
      {"NameHuge", one().number(kHuge).data(64), "a tensor name needs"},
      {"NameEmpty", one().tensor("", {4}, kF32, 0).align().data(32), "tensor name is empty"},
      {"NameNotUtf8", one().tensor("\xc0\x80", {4}, kF32, 0).align().data(32), "is not UTF-8"},
      {"NameWithEscapes", one().tensor("\x1b[2J", {4}, 77, 0).align().data(32),
       "\"\\x1b[2J\" has the unknown type 77"},
      {"Dimensions5", one().tensor("t", {1, 1, 1, 1, 1}, kF32, 0).align().data(32), "\"t\" has 5 dimensions"},
      {"DimensionsHuge", one().string("t").number(0xffffffffu).data(64), "\"t\" has 4294967295 dimensions"},
      {"DimensionNegative", one().tensor("t", {kHuge}, kF32, 0).align().data(32), "\"t\" has a dimension of"},
      {"ShapeOverflows", one().tensor("t", {1ull << 40, 1ull << 40}, kF32, 0).align().data(32),
       "is too large"},
      {"ShapeTimesSizeOverflows", one().tensor("t", {1ull << 62}, kF32, 0).align().data(32), "is too large"},
      {"ShapeZeroTimesOverflow", one().tensor("t", {1ull << 40, 1ull << 40, 0}, kF32, 0).align().data(32),
       "is too large"},
      {"RowsOfPartBlocks", one().tensor("t", {33}, kQ8_0, 0).align().data(64), "rows of 33 elements"},
      {"TypeUnknown", one().tensor("t", {4}, 31, 0).align().data(32), "\"t\" has the unknown type 31"},
      {"OffsetUnaligned", one().tensor("t", {4}, kF32, 16).align().data(64), "\"t\": offset 16"},
      {"OffsetPastEnd", one().tensor("t", {4}, kF32, 64).align().data(32), "\"t\": 16 bytes at offset 64"},
      {"OffsetHuge", one().tensor("t", {4}, kF32, kHuge - 31).align().data(32), "end past the tensor data"},
      {"EndsPastEnd", one().tensor("t", {9}, kF32, 0).align().data(32),
       "\"t\": 36 bytes at offset 0 end past"},
      {"NoData", one().tensor("t", {4}, kF32, 0), "end past the tensor data of 0 bytes"},
      {"EntryCutOff", FileBuilder().header(1, 0).string("tttttttt").number(1u).number(std::uint64_t{4}),
       "\"tttttttt\""},
      {"Overlap", two().tensor("a", {16}, kF32, 0).tensor("b", {4}, kF32, 32).align().data(64),
       "\"a\" and \"b\" overlap"},
      {"SamePlace", two().tensor("a", {4}, kF32, 0).tensor("b", {4}, kF32, 0).align().data(64),
       "\"a\" and \"b\" overlap"},
  };
}

std::vector<GgufCase> all_gguf_cases() {
  std::vector<GgufCase> cases;
  for (const auto& group : {hostile_gguf_headers(), hostile_metadata(), hostile_gguf_tensors()}) {
    cases.insert(cases.end(), group.begin(), group.end());
  }
  return cases;
}

class HostileGguf : public testing::TestWithParam<GgufCase> {};

TEST_P(HostileGguf, IsAnErrorThatNamesFileAndField) {
  const std::string message = gguf_error(GetParam().file.text());
  EXPECT_TRUE(message.starts_with("bad.gguf: ")) << message;
  EXPECT_NE(message.find(GetParam().field), std::string::npos) << message;
  EXPECT_LT(message.size(), 400u);
}

INSTANTIATE_TEST_SUITE_P(All, HostileGguf, testing::ValuesIn(all_gguf_cases()),
                         [](const auto& test) { return test.param.name; });

TEST(HostileGgufFile, TheBuilderBuildsGoodFiles) {
  EXPECT_EQ(gguf_error(FileBuilder().header(0, 0).text()), "");
  EXPECT_EQ(gguf_error(FileBuilder()
                           .header(3, 1)
                           .key("k", kU32)
                           .number(1u)
                           .tensor("a", {8}, kF32, 0)
                           .tensor("empty", {0, 4}, kF32, 0)
                           .tensor("b", {}, kF32, 32)
                           .align()
                           .data(36)
                           .text()),
            "");
}

TEST(HostileGgufFile, ASecondTensorOfTheSameNameIsAnError) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "twice.gguf";
  write_file(path, FileBuilder()
                       .header(2, 0)
                       .tensor("a", {4}, kF32, 0)
                       .tensor("a", {4}, kF32, 32)
                       .align()
                       .data(64)
                       .text());
  EXPECT_NE(error_of([&] { (void)Checkpoint::open(path); }).find("twice.gguf: tensor \"a\" occurs twice"),
            std::string::npos);
}

TEST(HostileGgufFile, ArraysCannotTakeManyTimesTheFilesSize) {
  // Two arrays of 10 million int8 in a file of 20 MB would take 160 MB.
  FileBuilder file;
  file.header(0, 2);
  constexpr std::uint64_t kCount = 10'000'000;
  for (const char* key : {"a", "b"}) {
    file.key(key, kArray).number(std::uint32_t{1}).number(kCount);
    for (std::size_t i = 0; i < kCount / 8; ++i) file.number(std::uint64_t{0});
  }
  EXPECT_NE(gguf_error(file.text()).find("metadata key \"b\" brings the metadata to more than"),
            std::string::npos);
}

TEST(HostileGgufFile, TruncationAtAnyByteIsAnErrorOrAValidFile) {
  for (const char* name : {"small.gguf", "every_type.gguf", "split/model-00001-of-00003.gguf"}) {
    const std::string whole = file_contents(fixture(name));
    std::size_t good = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string message = gguf_error(std::string_view(whole).substr(0, size));
      if (message.empty()) {
        ++good;
      } else {
        ASSERT_TRUE(message.starts_with("bad.gguf: ")) << message;
      }
    }
    EXPECT_LT(good, 64u) << name << ": only padding after the last tensor may be missing";
  }
}

TEST(HostileGgufFile, AnyOneChangedByteIsAnErrorOrReadable) {
  const std::string whole = file_contents(fixture("small.gguf"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const unsigned char value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(value);
      const std::string message = gguf_error(changed);
      ASSERT_TRUE(message.empty() || message.starts_with("bad.gguf: ")) << message;
    }
  }
}

}  // namespace
}  // namespace lattice
