#include "cli/arguments.h"

#include <limits>

#include <gtest/gtest.h>

#include "cli/harness.h"
#include "lattice/error.hpp"

namespace lattice::cli {
namespace {

/// The kind of Error that `work` throws; fails the test where it throws none.
template <typename Work>
Error::Kind kind_of_error(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Error::Kind::kInput;
}

TEST(Arguments, TakeWholeNumbersInTheirRange) {
  EXPECT_EQ(parse_integer("--n", "7", 1, 7), 7);
  EXPECT_EQ(parse_integer("--n", "-3", -5, 5), -3);
  for (const char* text : {"", " 7", "7 ", "+7", "0x7", "7.0", "1e1", "nan", "8", "0", "9223372036854775808",
                           "99999999999999999999999999"}) {
    EXPECT_EQ(kind_of_error([&] { (void)parse_integer("--n", text, 1, 7); }), Error::Kind::kUsage) << text;
  }
}

TEST(Arguments, TakeEverySeed) {
  EXPECT_EQ(parse_seed("--seed", "18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"-1", "18446744073709551616", "1.5", ""}) {
    EXPECT_EQ(kind_of_error([&] { (void)parse_seed("--seed", text); }), Error::Kind::kUsage) << text;
  }
}

TEST(Arguments, TakeFiniteNumbers) {
  EXPECT_EQ(parse_number("--x", "0.25"), 0.25f);
  EXPECT_EQ(parse_number("--x", "-1e-3"), -1e-3f);
  for (const char* text :
       {"", "nan", "inf", "-inf", "1e999", "0x1p3", "1,5", "1.5 ", " 1.5", "1.5.2", "--", "e"}) {
    EXPECT_EQ(kind_of_error([&] { (void)parse_number("--x", text); }), Error::Kind::kUsage) << text;
  }
}

TEST(Arguments, TakeListsOfIds) {
  EXPECT_EQ(parse_token_list("--tokens", "1, 2,3"), (std::vector<Token>{1, 2, 3}));
  for (const char* text : {"", ",", "1,", "1,,2", "1;2", "-1", "2147483648", "1.5", "a"}) {
    EXPECT_EQ(kind_of_error([&] { (void)parse_token_list("--tokens", text); }), Error::Kind::kUsage) << text;
  }
}

TEST(Arguments, TakeFilesOfIds) {
  const test::TemporaryFolder folder;
  const std::vector<Token> ids = {1, 2, 3};
  EXPECT_EQ(read_token_file(folder.write("array.json", "[1, 2, 3]")), ids);
  EXPECT_EQ(read_token_file(folder.write("object.json", R"({"tokens": [1,2,3], "pieces": []})")), ids);
  for (const char* content : {"", "[", "[]", "{}", "7", "[1.5]", "[-1]", "[\"1\"]", "[2147483648]", "[[1]]",
                              "[null]", "{\"tokens\": 7}", "\xff\xfe", "[1e999]", "[1,2,"}) {
    EXPECT_EQ(kind_of_error([&] { (void)read_token_file(folder.write("bad.json", content)); }),
              Error::Kind::kInput)
        << content;
  }
  EXPECT_EQ(kind_of_error([&] { (void)read_token_file(folder.path()); }), Error::Kind::kUsage);
  EXPECT_EQ(kind_of_error([&] { (void)read_token_file(folder.path() / "none"); }), Error::Kind::kUsage);
}

TEST(Arguments, OneAloneIsTheModelWhereItIsADirectoryOrGguf) {
  const test::TemporaryFolder folder;
  ModelAndText directory{folder.path(), std::nullopt};
  directory.settle();
  EXPECT_EQ(directory.model, folder.path());
  ModelAndText gguf{"no/such/model.gguf", std::nullopt};
  gguf.settle();
  EXPECT_TRUE(gguf.model.has_value());
  ModelAndText text{"Once upon a time", std::nullopt};
  text.settle();
  EXPECT_FALSE(text.model.has_value());
  EXPECT_EQ(text.text, "Once upon a time");
  ModelAndText long_text{std::string(100000, 'x'), std::nullopt};
  long_text.settle();
  EXPECT_FALSE(long_text.model.has_value());
  ModelAndText both{"model", "text"};
  both.settle();
  EXPECT_EQ(both.model, "model");
}

}  // namespace
}  // namespace lattice::cli
