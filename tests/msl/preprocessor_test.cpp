#include "msl/preprocessor.h"

#include <gtest/gtest.h>

#include "lattice/error.hpp"

namespace lattice::msl {
namespace {

/// The tokens of the preprocessed text, with a blank between two.
std::string expand(const std::string& text, const PreprocessorOptions& options = {}) {
  SourceSet sources;
  std::string out;
  for (const Token& token : preprocess(sources, sources.add("test.metal", text), options)) {
    if (!out.empty()) out += ' ';
    out += token.kind == TokenKind::kUnroll ? "<unroll " + std::string(token.text) + ">"
                                            : std::string(token.text);
  }
  return out;
}

void expect_preprocessor_refuses(const std::string& text, const std::string& what) {
  try {
    (void)expand(text);
    ADD_FAILURE() << "not refused: " << text.substr(0, 100);
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
}

TEST(Preprocessor, ExpandsMacros) {
  EXPECT_EQ(expand("#define N 4\n#define M N * N\nM"), "4 * 4");
  EXPECT_EQ(expand("#define F(x, y) x + y\nF(1, (2, 3)) F"), "1 + ( 2 , 3 ) F");
  EXPECT_EQ(expand("#define CAT(a, b) a##b\n#define S(x) #x\nCAT(ab, 12) S(a  \"q\\n\")"),
            "ab12 \"a \\\"q\\\\n\\\"\"");
  EXPECT_EQ(expand("#define E()\nE() x"), "x");
  EXPECT_EQ(expand("#define V(f, ...) f(__VA_ARGS__)\nV(g, 1, 2) V(h)"), "g ( 1 , 2 ) h ( )");
  EXPECT_EQ(expand("#define P(f, ...) f(0, ##__VA_ARGS__)\nP(g) P(g, 1)"), "g ( 0 ) g ( 0 , 1 )");
  EXPECT_EQ(expand("#define A(x) \\\n  x \\\n  x\nA(1)\nB"), "1 1 B");
}

// C11 6.10.3.5, examples 3 and 4.
TEST(Preprocessor, ExpandsTheStandardsExamples) {
  EXPECT_EQ(
      expand("#define x 3\n#define f(a) f(x * (a))\n#undef x\n#define x 2\n#define g f\n#define z z[0]\n"
             "#define h g(~\n#define m(a) a(w)\n#define w 0,1\n#define t(a) a\nf(y+1) + f(f(z)) % t(t(g)(0) "
             "+ t)(1);"),
      "f ( 2 * ( y + 1 ) ) + f ( 2 * ( f ( 2 * ( z [ 0 ] ) ) ) ) % f ( 2 * ( 0 ) ) + t ( 1 ) ;");
  EXPECT_EQ(expand("#define hash_hash # ## #\n#define mkstr(a) # a\n#define in_between(a) mkstr(a)\n"
                   "#define join(c, d) in_between(c hash_hash d)\njoin(x, y)"),
            "\"x ## y\"");
}

TEST(Preprocessor, Conditions) {
  EXPECT_EQ(expand("#if defined(__METAL_VERSION__) && __METAL_VERSION__ >= 310\nyes\n#else\nno\n#endif"),
            "yes");
  EXPECT_EQ(expand("#if 0\n#error never\n#if 1\na\n#endif\n#elif 1 + 1 == 2 ? 0x10 : 0\nb\n#else\nc\n#endif"),
            "b");
  EXPECT_EQ(expand("#ifndef A\n#define A\n#endif\n#ifdef A\nx\n#endif"), "x");
  EXPECT_EQ(expand("#if __has_include(<metal_stdlib>) && !__has_attribute(foo)\nx\n#endif"), "x");
}

TEST(Preprocessor, KeepsUnrollingAndDropsOtherPragmas) {
  EXPECT_EQ(expand("#pragma unroll(4)\n#pragma once\n_Pragma(\"clang loop unroll(full)\") for"),
            "<unroll 4> <unroll > for");
}

TEST(Preprocessor, RefusesWhatIsNotWellFormed) {
  expect_preprocessor_refuses("\n#if 1\n", "test.metal:2: this conditional has no #endif");
  expect_preprocessor_refuses("#endif", "#endif without #if");
  expect_preprocessor_refuses("#error \"too \" old", "#error");
  expect_preprocessor_refuses("#include \"missing.h\"", "missing.h");
  expect_preprocessor_refuses("#define F(x) x\nF(1", "lacks )");
  expect_preprocessor_refuses("#define F(x) x\nF(1, 2)", "takes 1 arguments and is given 2");
  expect_preprocessor_refuses("/* open", "does not end");
  expect_preprocessor_refuses("\"open", "does not end");
  expect_preprocessor_refuses("#if (1", "lacks )");
  expect_preprocessor_refuses("a \x01 b", "unexpected character");
}

TEST(Preprocessor, SurvivesWhatIsMadeToExhaustIt) {
  std::string bomb = "#define A0 x x\n";
  for (int i = 1; i < 40; ++i)
    bomb +=
        "#define A" + std::to_string(i) + " A" + std::to_string(i - 1) + " A" + std::to_string(i - 1) + "\n";
  expect_preprocessor_refuses(bomb + "A39", "tokens");
  expect_preprocessor_refuses("#if " + std::string(100000, '(') + "1", "nested too deeply");
  std::string nested = "#define F(x) x\n";
  for (int i = 0; i < 1000; ++i) nested += "F(";
  expect_preprocessor_refuses(nested + std::string(1000, ')'), "nested too deeply");
}

}  // namespace
}  // namespace lattice::msl
