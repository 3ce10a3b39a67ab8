// Structure and reflection: what is found, and what is refused with file, line and reason.
#include "msl/parser.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lattice/error.hpp"
#include "msl/emit.h"
#include "msl/reflect.h"

namespace lattice::msl {
namespace {

Module parse(const std::string& text) {
  return parse_text("test.metal", text);
}

void expect_refused(const std::string& text, const std::string& what) {
  try {
    (void)parse(text);
    ADD_FAILURE() << "not refused: " << text;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos)
        << error.what() << "\nexpected: " << what;
  }
}

TEST(Parser, FindsKernelsHoweverTheyAreWritten) {
  const Module module = parse(R"(
kernel void one(device float* x [[buffer(3)]]) {}
[[kernel]] void two(device float* x) {}
[[host_name("three")]] kernel void renamed(device float* x) {}
namespace a { namespace b { kernel void four(device float* x) {} } }
extern "C" { kernel void five(device float* x) {} }
[[max_total_threads_per_threadgroup(64)]] kernel void six(device float* x) {}
void not_one(device float* x) {}
kernel void declared(device float* x);
template <typename T, int N> [[kernel]] void f(device T* x) {}
template [[host_name("seven")]] [[kernel]] void f<float, 4>(device float* x);
template [[host_name("eight")]] [[kernel]] decltype(f<half, (1 > 0)>) f<half, (1 > 0)>;
typedef decltype(f<int, 2>) f_t;
template [[host_name("nine")]] kernel f_t f<int, 2>;
)");
  std::vector<std::string> names;
  for (const Kernel& kernel : module.kernels) names.push_back(kernel.name);
  EXPECT_EQ(names, (std::vector<std::string>{"one", "two", "three", "four", "five", "six", "seven", "eight",
                                             "nine"}));
  EXPECT_EQ(module.function_of(module.kernel("four")).function, "a::b::four");
  EXPECT_EQ(module.function_of(module.kernel("six")).max_threads, 64u);
  EXPECT_EQ(module.text(module.kernel("eight").template_arguments), "<half, (1 > 0)>");
  EXPECT_EQ(module.kernel("seven").place.line, 11u);
  EXPECT_THROW((void)module.kernel("not_one"), Error);
}

TEST(Parser, FindsParameters) {
  const Module module = parse(R"(
enum Index { kFirst, kSecond = 7, kThird };
struct Args { int n; };
kernel void k(device const half4* in, constant Args& args [[buffer(kThird)]], const device vec<float, 2>* w [[buffer(0)]],
              constant int strides[3], threadgroup float* t [[threadgroup(1)]], threadgroup half* u,
              ushort2 tid [[thread_position_in_threadgroup]], uint lane[[thread_index_in_simdgroup]]) {}
)");
  const std::vector<Parameter>& p = module.functions.front().parameters;
  ASSERT_EQ(p.size(), 8u);
  EXPECT_EQ(p[0].index, 1u);  // the next that is free
  EXPECT_TRUE(p[0].read_only);
  EXPECT_EQ(p[0].type, "device const half4*");
  EXPECT_EQ(p[1].index, 8u);
  EXPECT_TRUE(p[1].reference);
  EXPECT_EQ(p[2].type, "const device vec<float, 2>*");
  EXPECT_EQ(p[3].kind, ParameterKind::kBuffer);
  EXPECT_EQ(p[3].index, 2u);
  EXPECT_EQ(p[4].kind, ParameterKind::kThreadgroupMemory);
  EXPECT_EQ(p[4].index, 1u);
  EXPECT_EQ(p[5].index, 0u);
  EXPECT_EQ(p[6].builtin, "thread_position_in_threadgroup");
  EXPECT_EQ(p[7].name, "lane");
}

TEST(Parser, FindsThreadgroupVariablesAndConstants) {
  const Module module = parse(R"(
constant bool flag [[function_constant(2)]];
constant int rows [[function_constant(5)]];
constant int rows_or_4 = is_function_constant_defined(rows) ? rows : 4;
constant float table[2] = {1.0, 2.0};
kernel void k(device float* x) {
  threadgroup float a[4][8], b;
  threadgroup float* p = a[0];
  threadgroup vec<half, 4> c[sizeof(float) * 2];
  x[0] = *(threadgroup float*)p;
}
)");
  ASSERT_EQ(module.threadgroup_declarations.size(), 2u);
  EXPECT_EQ(module.threadgroup_declarations[0].names.size(), 2u);
  EXPECT_EQ(module.text(module.threadgroup_declarations[1].type), "vec<half, 4>");
  ASSERT_EQ(module.constants.size(), 4u);
  EXPECT_EQ(module.constants[1].function_constant, 5u);
  EXPECT_TRUE(module.constants[2].specialized);
  EXPECT_FALSE(module.constants[3].specialized);
}

TEST(Parser, ReflectsAsJson) {
  const auto json = nlohmann::json::parse(reflect_json(parse(R"(
constant int rows [[function_constant(5)]];
kernel void k(device float* out [[buffer(1)]], uint i [[thread_position_in_grid]]) { threadgroup float s[32]; }
template <typename T> kernel void unused(device T* x) {}
)")));
  EXPECT_EQ(json["kernels"][0]["parameters"][0]["index"], 1);
  EXPECT_EQ(json["kernels"][0]["parameters"][0]["access"], "read_write");
  EXPECT_EQ(json["kernels"][0]["parameters"][1]["attribute"], "thread_position_in_grid");
  EXPECT_EQ(json["kernels"][0]["threadgroup_variables"][0]["extents"], "[32]");
  EXPECT_EQ(json["function_constants"][0]["index"], 5);
  EXPECT_EQ(json["uninstantiated_templates"][0], "unused");
}

TEST(Parser, RefusesWhatItCannotTranslate) {
  expect_refused("\n\nvertex float4 v(uint i [[vertex_id]]) { return 0; }",
                 "test.metal:3: vertex functions are not supported");
  expect_refused("kernel void k(texture2d<float> t [[texture(0)]]) {}", "textur");
  expect_refused("kernel void k(device float* x [[texture(0)]]) {}", "[[texture]]");
  expect_refused("struct A { device float* p; };\nkernel void k(constant A& a) {}",
                 "test.metal:2: A holds pointers");
  expect_refused("kernel void k(device float** x) {}", "point only once");
  expect_refused("kernel void k(float* x) {}", "needs an address space");
  expect_refused("kernel void k(device float* x [[buffer(31)]]) {}", "above 30");
  expect_refused("kernel void k(device float* x [[buffer(1)]], device float* y [[buffer(1)]]) {}",
                 "two parameters have the index 1");
  expect_refused("kernel void k(device float* x [[buffer(n)]]) {}", "neither a number nor a constant");
  expect_refused("kernel void k(uint i) {}", "nor has it an attribute");
  expect_refused("kernel void k(device float* x) {}\nkernel void k(device int* x) {}",
                 "test.metal:2: there are two kernels k");
  expect_refused("void f() { threadgroup float x[4]; }", "only in a kernel's body");
  expect_refused("kernel void k(device float* x) { threadgroup float y = 1; }", "no initialiser");
  expect_refused("template [[host_name(\"x\")]] kernel void g<float>(device float* x);",
                 "there is no kernel template g");
  expect_refused("kernel void k(device float* x) {", "{ is not closed");
  expect_refused("}", "unexpected }");
}

TEST(Emit, GivesLiteralsMetalsTypes) {
  const std::string text = emit_soft(
      parse("kernel void k(device float* x) { x[0] = 1.0 + 1e3 + 2.5h + 0x1p3 + 1.f + 7 + 0x1e; x->xyz; }"));
  EXPECT_NE(text.find("1.0f + 1e3f + half(2.5f) + 0x1p3f + 1.f + 7 + 0x1e"), std::string::npos) << text;
  EXPECT_NE(text.find("LATTICE_MSL_SWIZZLES_3 S(xyz, 0, 1, 2)"), std::string::npos);
}

TEST(Emit, MakesConstantConstOnce) {
  const std::string text =
      emit_soft(parse("constant const int a = 1; const constant int b = 2; constant int c = 3;"));
  EXPECT_EQ(text.find("const const"), std::string::npos) << text;
  EXPECT_NE(text.find("const int c = 3"), std::string::npos) << text;
}

TEST(Emit, LeavesOutWhatRepeatsButForAddressSpaces) {
  const std::string text = emit_soft(parse(R"(
namespace a { float f(device float* x) { return 1; } }
namespace a { float f(threadgroup float* x) { return 2; } float f(constant float* x) { return 3; } }
namespace b { float f(threadgroup float* x) { return 4; } }
struct S { S(int) thread {} S(int) constant {} void g() const thread {} void g() const device {} void g() {} };
kernel void k(device float* x [[buffer(0)]]) {}
)"));
  const auto count = [&](const std::string& what) {
    std::size_t found = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("return 1"), 1u);
  EXPECT_EQ(count("return 2"), 0u);  // the first of a's own stands for it
  EXPECT_EQ(count("return 3"), 1u);  // takes const memory, which is another type
  EXPECT_EQ(count("return 4"), 1u);  // another namespace
  EXPECT_EQ(count("S (int )"), 1u);
  EXPECT_EQ(count("g ( )"), 2u);
}

/// Not one scope a stack frame without end.
TEST(Emit, SurvivesDeepNesting) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "struct S {";
  for (int i = 0; i < 20000; ++i) text += "};";
  EXPECT_NE(emit_soft(parse(text + "kernel void k(device float* x [[buffer(0)]]) {}")).find("lattice_module"),
            std::string::npos);
}

}  // namespace
}  // namespace lattice::msl
