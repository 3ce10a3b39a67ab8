#include "msl/stdlib_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace lattice::msl {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = 3.14159265358979323846;

}  // namespace

std::vector<ScalarCase> scalar_cases() {
  // x = 0.7f, y = −2.25f and n = 37 are parameters of a function that is not inlined, so that nothing is
  // folded.
  const double x = 0.7f;
  const double y = -2.25;
  std::vector<ScalarCase> out = {
      // mathematics
      {"acos(x)", std::acos(x)},
      {"acosh(x + 1)", std::acosh(static_cast<float>(x) + 1.0f)},
      {"asin(x)", std::asin(x)},
      {"asinh(x)", std::asinh(x)},
      {"atan(x)", std::atan(x)},
      {"atan2(x, y)", std::atan2(x, y)},
      {"atanh(x)", std::atanh(x)},
      {"ceil(y)", -2},
      {"cos(x)", std::cos(x)},
      {"cosh(x)", std::cosh(x)},
      {"cospi(x)", std::cos(x * kPi)},
      {"copysign(x, y)", -x},
      {"exp(x)", std::exp(x)},
      {"exp2(x)", std::exp2(x)},
      {"exp10(x)", std::pow(10.0, x)},
      {"fabs(y)", 2.25},
      {"fdim(3.0, x)", 3.0f - 0.7f},
      {"floor(y)", -3},
      {"fma(x, y, 1.0)", std::fma(x, y, 1.0)},
      {"mad(x, y, 1.0)", static_cast<float>(x * y) + 1.0f},
      {"fmax(x, y)", x},
      {"fmin(x, y)", y},
      {"fmod(y, x)", std::fmod(y, x)},
      {"fract(y)", 0.75},
      {"ldexp(x, 3)", x * 8},
      {"log(x)", std::log(x)},
      {"log2(x)", std::log2(x)},
      {"log10(x)", std::log10(x)},
      {"nextafter(1.0, 2.0)", 1 + 0x1p-23},
      {"pow(x, y)", std::pow(x, y)},
      {"powr(x, y)", std::pow(x, y)},
      {"rint(y)", -2},
      {"rint(2.5)", 2},
      {"round(2.5)", 3},
      {"rsqrt(x)", 1 / std::sqrt(x)},
      {"sin(x)", std::sin(x)},
      {"sinh(x)", std::sinh(x)},
      {"sinpi(x)", std::sin(x * kPi)},
      {"sqrt(x)", std::sqrt(x)},
      {"tan(x)", std::tan(x)},
      {"tanh(x)", std::tanh(x)},
      {"tanpi(x)", std::tan(x * kPi)},
      {"trunc(y)", -2},
      {"ilogb(37.0)", 5},
      {"frexp_mantissa(x * 8)", 0.7f},
      {"modf_fraction(y)", -0.25},
      {"sincos_cos(x)", std::cos(x)},
      {"fast::exp(x)", std::exp(x)},
      {"fast::pow(x, y)", std::pow(x, y)},
      {"precise::sin(x)", std::sin(x)},
      {"precise::tanh(x)", std::tanh(x)},
      // common
      {"abs(y)", 2.25},
      {"abs(-n)", 37},
      {"clamp(y, -1.0, 1.0)", -1},
      {"clamp(n, 1, 20)", 20},
      {"mix(x, y, 0.25)", x + (y - x) * 0.25},
      {"max(x, y)", x},
      {"min(n, 5)", 5},
      {"max(uchar(200), uchar(3))", 200},
      {"max3(1.0, x, y)", 1},
      {"min3(1.0, x, y)", y},
      {"median3(1.0, x, y)", x},
      {"saturate(y)", 0},
      {"saturate(x)", x},
      {"sign(y)", -1},
      {"sign(0.0)", 0},
      {"smoothstep(0.0, 2.0, x)", 0.35 * 0.35 * (3 - 2 * 0.35)},
      {"step(x, y)", 0},
      {"step(y, x)", 1},
      {"degrees(x)", x * 180 / kPi},
      {"radians(y)", y * kPi / 180},
      // relational
      {"isnan(NAN)", 1},
      {"isnan(x)", 0},
      {"isinf(-INFINITY)", 1},
      {"isfinite(x)", 1},
      {"isfinite(INFINITY)", 0},
      {"isnormal(1e-40)", 0},
      {"isordered(x, NAN)", 0},
      {"isunordered(x, NAN)", 1},
      {"signbit(y)", 1},
      {"select(x, y, true)", y},
      {"select(n, 5, x > 1)", 37},
      {"any(float2(x, y) > 0)", 1},
      {"all(float2(x, y) > 0)", 0},
      {"select(float3(x), float3(y), bool3(true, false, true)).z", y},
      // integers
      {"absdiff(3u, 10u)", 7},
      {"absdiff(-100, 100)", 200},
      {"addsat(uchar(250), uchar(10))", 255},
      {"subsat(3u, 10u)", 0},
      {"addsat(char(-100), char(-100))", -128},
      {"clz(uint(n))", 26},
      {"clz(uchar(1))", 7},
      {"ctz(40)", 3},
      {"ctz(0u)", 32},
      {"popcount(255)", 8},
      {"popcount(~0ul)", 64},
      {"mulhi(0x80000000u, 6u)", 3},
      {"mulhi(0x8000000000000000ul, 6ul)", 3},
      {"hadd(5, 8)", 6},
      {"rhadd(5, 8)", 7},
      {"rotate(0x80000001u, 4u)", 24},
      {"mul24(n, -3)", -111},
      {"mad24(n, 2, 1)", 75},
      {"madhi(0x40000000, 8, 1)", 3},
      {"madsat(short(1000), short(1000), short(0))", 32767},
      {"reverse_bits(uchar(3))", 192},
      {"extract_bits(0xF0u, 4u, 4u)", 15},
      {"extract_bits(0xF0, 4u, 4u)", -1},
      {"insert_bits(0u, 5u, 8u, 4u)", 1280},
      // geometry
      {"dot(float3(1, 2, 3), float3(4, 5, 6))", 32},
      {"cross(float3(1, 0, 0), float3(0, 1, 0)).z", 1},
      {"length(float2(3, 4))", 5},
      {"length_squared(float2(3, 4))", 25},
      {"distance(float2(1, 1), float2(4, 5))", 5},
      {"distance_squared(float2(1, 1), float2(4, 5))", 25},
      {"normalize(float2(3, 4)).y", 0.8f},
      {"reflect(float2(1, -1), float2(0, 1)).y", 1},
      {"faceforward(float2(0, 1), float2(0, 1), float2(0, 1)).y", -1},
      {"refract(float2(0, -1), float2(0, 1), 0.5).y", -1},
      // conversions and limits
      {"as_type<float>(0x40490fdbu)", static_cast<float>(kPi)},
      {"as_type<uint>(1.0)", 1065353216},
      {"as_type<half2>(0x3c004000u).y", 1},
      {"as_type<uchar4>(0x01020304u).x", 4},
      {"float(half(x))", 0.7001953125},
      {"float(bfloat(x))", 0.69921875},
      {"half(1.0h / 3.0h)", 0.333251953125},
      {"float(half(70000.0))", kInf},
      {"int(bfloat(3) * bfloat(5))", 15},
      {"bfloat(1.0bf + 0.001bf)", 1},
      {"2.0h * n", 74},
      {"uchar(n) << 3", 296},
      {"float(int(y))", -2},
      {"float(-7 / 2)", -3},
      {"numeric_limits<float>::max()", std::numeric_limits<float>::max()},
      {"numeric_limits<half>::max()", 65504},
      {"numeric_limits<bfloat>::epsilon()", 0x1p-7},
      {"numeric_limits<short>::lowest()", -32768},
      {"numeric_limits<uint>::max() >> 8", 16777215},
      {"numeric_limits<float>::infinity()", kInf},
      {"numeric_limits<float>::quiet_NaN()", kNan},
      {"HALF_MAX", 65504},
      {"M_PI_F", static_cast<float>(kPi)},
      {"FLT_EPSILON", 0x1p-23},
      // vectors
      {"float4(float2(1, 2), 3, 4).w", 4},
      {"float4(1, float2(2, 3), 4).z", 3},
      {"float4(float3(1), 2).w", 2},
      {"float3(5).y", 5},
      {"(float2(1, 2) + 3).y", 5},
      {"(2 * float2(1, 2)).y", 4},
      {"(half4(1) * 2.0f).x", 2},
      {"float2(int2(3, 4)).y", 4},
      {"int3(float3(1.9, -1.9, 0)).y", -1},
      {"(int2(5, 7) % 3).y", 1},
      {"(uint2(1, 2) << 4).y", 32},
      {"(~int2(0)).x", -1},
      {"(-float2(1, 2)).y", -2},
      {"swizzle_write()", 4321},
      {"swizzle_compound()", 1133},
      {"swizzle_color()", 31},
      {"packed_sum()", 18},
      {"sizeof(float3)", 16},
      {"sizeof(packed_float3)", 12},
      {"sizeof(half2)", 4},
      {"alignof(float4)", 16},
      {"min(float2(x, y), 0.0).x", 0},
      {"clamp(float2(x, y), 0.0, 0.5).x", 0.5},
      {"mix(float2(0), float2(4), 0.25).y", 1},
      {"exp(float2(0, x)).y", std::exp(x)},
      {"popcount(uint2(1, 3)).y", 2},
      {"fma(float2(2), float2(3), float2(1)).x", 7},
      // matrices
      {"(float2x2(1, 2, 3, 4) * float2(1, 1)).x", 4},
      {"(float2(1, 1) * float2x2(1, 2, 3, 4)).x", 3},
      {"(float2x2(1, 2, 3, 4) * float2x2(1, 0, 0, 1))[1][0]", 3},
      {"transpose(float2x3(1, 2, 3, 4, 5, 6))[2][1]", 6},
      {"determinant(float2x2(1, 2, 3, 4))", -2},
      {"determinant(float3x3(2))", 8},
      {"determinant(float4x4(2))", 16},
      {"half4x4(1.0h)[3][3]", 1},
      {"(float2x2(1) * 3.0)[1][1]", 3},
      {"(float2x2(1) + float2x2(2))[0][0]", 3},
      // atomics on one thread
      {"atomics_int()", 5 + 100 * 1},
      {"atomics_float()", 2.75},
      {"atomics_bits()", 0x3f},
  };
  return out;
}

std::string scalar_kernel(const std::vector<ScalarCase>& cases) {
  std::string out = R"(#include <metal_stdlib>
using namespace metal;
static float frexp_mantissa(float v) { int e; float m = frexp(v, e); return e == 3 ? m : -1.0; }
static float modf_fraction(float v) { float whole; float f = modf(v, whole); return whole == -2 ? f : 100.0; }
static float sincos_cos(float v) { float c; float s = sincos(v, c); return s == sin(v) ? c : -10.0; }
static float swizzle_write() { float4 v = float4(1, 2, 3, 4); v.xyzw = v.wzyx; return dot(v, float4(1000, 100, 10, 1)); }
static float swizzle_compound() { float4 v = float4(1, 1, 1, 1); v.zw *= 3; v.zw = v.wz; return dot(v, float4(1000, 100, 10, 1)); }
static float swizzle_color() { float3 v = float3(1, 2, 3); v.rb = v.br; return v.r * 10 + v.b; }
static float packed_sum() { packed_float3 p = float3(1, 2, 3); p.y = 4; p[2] = 5; p = p * 2.0; return p.x + p.y + p.z - 2; }
static int atomics_int() {
  atomic_int a; atomic_store_explicit(&a, 3, memory_order_relaxed);
  atomic_fetch_add_explicit(&a, 4, memory_order_relaxed); atomic_fetch_sub_explicit(&a, 2, memory_order_relaxed);
  atomic_fetch_max_explicit(&a, 4, memory_order_relaxed); atomic_fetch_min_explicit(&a, 9, memory_order_relaxed);
  int expected = 5; bool same = atomic_compare_exchange_weak_explicit(&a, &expected, 6, memory_order_relaxed, memory_order_relaxed);
  return atomic_exchange_explicit(&a, 1, memory_order_relaxed) - 1 + 100 * same * atomic_load_explicit(&a, memory_order_relaxed);
}
static float atomics_float() {
  atomic_float a; atomic_store_explicit(&a, 0.5, memory_order_relaxed);
  atomic_fetch_add_explicit(&a, 2.5, memory_order_relaxed); atomic_fetch_sub_explicit(&a, 0.25, memory_order_relaxed);
  return atomic_load_explicit(&a, memory_order_relaxed);
}
static uint atomics_bits() {
  atomic_uint a; atomic_store_explicit(&a, 0xf0u, memory_order_relaxed);
  atomic_fetch_or_explicit(&a, 0x0fu, memory_order_relaxed); atomic_fetch_and_explicit(&a, 0x7fu, memory_order_relaxed);
  atomic_fetch_xor_explicit(&a, 0x40u, memory_order_relaxed); return atomic_load_explicit(&a, memory_order_relaxed);
}
__attribute__((noinline)) void all(device float* out, float x, float y, int n) {
)";
  for (std::size_t i = 0; i < cases.size(); ++i)
    out += "  out[" + std::to_string(i) + "] = float(" + cases[i].expression + ");\n";
  return out + "}\nkernel void conformance(device float* out [[buffer(0)]]) { all(out, 0.7, -2.25, 37); }\n";
}

std::vector<LaneCase> lane_cases() {
  const auto quad_sum = [](int lane) { return 4.0 * (lane / 4 * 4) + 6; };
  return {
      {"simd_sum(lane)", [](int) { return 496; }},
      {"simd_sum(float2(1, lane)).y", [](int) { return 496; }},
      {"simd_product(lane < 3 ? 2.0 : 1.0)", [](int) { return 8; }},
      {"simd_min(int(lane) - 5)", [](int) { return -5; }},
      {"simd_max(half(lane))", [](int) { return 31; }},
      {"simd_and(lane | 64)", [](int) { return 64; }},
      {"simd_or(lane)", [](int) { return 31; }},
      {"simd_xor(lane + 1)", [](int) { return 32; }},
      {"simd_prefix_inclusive_sum(lane)", [](int lane) { return lane * (lane + 1) / 2; }},
      {"simd_prefix_exclusive_sum(lane)", [](int lane) { return lane * (lane - 1) / 2; }},
      {"simd_prefix_inclusive_product(lane < 4 ? 2 : 1)",
       [](int lane) { return 1 << std::min(lane + 1, 4); }},
      {"simd_prefix_exclusive_product(lane < 4 ? 2 : 1)", [](int lane) { return 1 << std::min(lane, 4); }},
      {"simd_broadcast(lane, 7)", [](int) { return 7; }},
      {"simd_broadcast_first(lane + 3)", [](int) { return 3; }},
      {"simd_shuffle(lane, 31 - lane)", [](int lane) { return 31 - lane; }},
      {"simd_shuffle_xor(float(lane), 5)", [](int lane) { return lane ^ 5; }},
      {"simd_shuffle_down(lane, 3) * (lane + 3 < 32)", [](int lane) { return lane + 3 < 32 ? lane + 3 : 0; }},
      {"simd_shuffle_up(lane, 3) * (lane >= 3)", [](int lane) { return lane >= 3 ? lane - 3 : 0; }},
      {"simd_shuffle_rotate_down(lane, 3)", [](int lane) { return (lane + 3) % 32; }},
      {"simd_shuffle_rotate_up(lane, 3)", [](int lane) { return (lane + 29) % 32; }},
      {"simd_shuffle_and_fill_down(lane, lane + 100, 3)",
       [](int lane) { return lane + 3 < 32 ? lane + 3 : (lane + 3) % 32 + 100; }},
      {"simd_shuffle_and_fill_up(lane, lane + 100, 3)",
       [](int lane) { return lane >= 3 ? lane - 3 : lane + 29 + 100; }},
      {"uint(ulong(simd_ballot(lane % 8 == 0)))", [](int) { return 0x01010101; }},
      {"uint(ulong(simd_active_threads_mask())) >> 8", [](int) { return 0xffffff; }},
      {"simd_any(lane == 9)", [](int) { return 1; }},
      {"simd_all(lane == 9)", [](int) { return 0; }},
      {"simd_ballot(true).all()", [](int) { return 1; }},
      {"simd_is_first()", [](int lane) { return lane == 0; }},
      {"quad_sum(lane)", quad_sum},
      {"quad_product(lane % 4 + 1)", [](int) { return 24; }},
      {"quad_min(lane)", [](int lane) { return lane / 4 * 4; }},
      {"quad_max(lane)", [](int lane) { return lane / 4 * 4 + 3; }},
      {"quad_and(lane | 3)", [](int lane) { return lane / 4 * 4 + 3; }},
      {"quad_or(lane)", [](int lane) { return lane / 4 * 4 + 3; }},
      {"quad_xor(lane)", [](int) { return 0; }},
      {"quad_prefix_inclusive_sum(1)", [](int lane) { return lane % 4 + 1; }},
      {"quad_prefix_exclusive_sum(1)", [](int lane) { return lane % 4; }},
      {"quad_broadcast(lane, 2)", [](int lane) { return lane / 4 * 4 + 2; }},
      {"quad_broadcast_first(lane)", [](int lane) { return lane / 4 * 4; }},
      {"quad_shuffle(lane, 3 - lane % 4)", [](int lane) { return lane / 4 * 4 + 3 - lane % 4; }},
      {"quad_shuffle_xor(lane, 1)", [](int lane) { return lane ^ 1; }},
      {"quad_shuffle_down(lane, 1) * (lane % 4 < 3)", [](int lane) { return lane % 4 < 3 ? lane + 1 : 0; }},
      {"quad_shuffle_up(lane, 1) * (lane % 4 > 0)", [](int lane) { return lane % 4 > 0 ? lane - 1 : 0; }},
      {"quad_shuffle_rotate_down(lane, 1)", [](int lane) { return lane / 4 * 4 + (lane + 1) % 4; }},
      {"quad_ballot(lane % 2 == 1).any()", [](int) { return 1; }},
      {"quad_any(lane == 5)", [](int lane) { return lane / 4 == 1; }},
      {"quad_all(lane >= 5)", [](int lane) { return lane / 4 > 1; }},
      {"quad_is_first()", [](int lane) { return lane % 4 == 0; }},
      // A matrix whose element (r, c) is 8r + c, times the identity times 2; the first element that this lane
      // holds.
      {"matrix_element(lane)",
       [](int lane) { return 2 * (8 * (lane / 16 * 4 + lane / 2 % 4) + lane / 8 % 2 * 4 + lane % 2 * 2); }},
      {"half_matrix_product(lane)", [](int) { return 8; }},
  };
}

std::string lane_kernel(const std::vector<LaneCase>& cases) {
  std::string out = R"(#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
static float matrix_element(uint lane) {
  simdgroup_float8x8 a, b = simdgroup_float8x8(2.0), c = make_filled_simdgroup_matrix<float, 8, 8>(0.0);
  for (uint i = 0; i < 2; ++i) a.thread_elements()[i] = 8 * (lane / 16 * 4 + lane / 2 % 4) + lane / 8 % 2 * 4 + lane % 2 * 2 + i;
  simdgroup_multiply_accumulate(c, a, b, c);
  return c.thread_elements()[0];
}
static float half_matrix_product(uint lane) {
  simdgroup_half8x8 a = make_filled_simdgroup_matrix<half, 8, 8>(1.0h);
  simdgroup_half8x8 c;
  simdgroup_multiply(c, a, a);
  return c.thread_elements()[1];
}
kernel void conformance(device float* out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) {
)";
  for (std::size_t i = 0; i < cases.size(); ++i) {
    out += "  out[" + std::to_string(32 * i) + " + lane] = float(" + cases[i].expression + ");\n";
  }
  return out + "}\n";
}

}  // namespace lattice::msl
