// Registers of AArch64's Advanced SIMD, as the kernel templates want them. Everything is in an anonymous
// namespace, since files that may use later extensions include it too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <arm_neon.h>

namespace lattice::cpu {
namespace {

struct Neon {
  using Float = float32x4_t;
  using Int = int32x4_t;
  static constexpr int kLanes = 4;
  // Thirty-two registers. 6 × 4 sums of a tile, 24 in all, leave room for a row of b.
  static constexpr int kTileRows = 6;
  static constexpr int kTileVectors = 4;
  static constexpr int kSquare = 4;           // that transpose() takes
  static constexpr int kFloatTokens = 4;      // × 4 registers of rows: 16 sums
  static constexpr int kFloatChains = 2;      // × 4 registers of rows, one token: 8 sums
  static constexpr int kFloatStepTokens = 4;  // × 2 sums × 2 registers of rows
  static constexpr int kStepVectors = 2;
  static constexpr int kTileKeys = 4;    // × 4 heads: 16 sums or weights, 4 rows
  static constexpr int kInt8Tokens = 4;  // × 2 registers of rows: 8 sums and 8 products, or 16
  static constexpr int kInt8Vectors = 2;

  static Float zero() { return vdupq_n_f32(0.0f); }
  static Float set1(float x) { return vdupq_n_f32(x); }
  static Float load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Float x) { vst1q_f32(p, x); }
  static Float load_f16(const std::uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static Float load_bf16(const std::uint16_t* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
  }
  static void store_f16(std::uint16_t* p, Float x) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
  /// kLanes pairs → their first and their second members.
  static void load_pairs(const float* p, Float* first, Float* second) {
    const float32x4x2_t pairs = vld2q_f32(p);
    *first = pairs.val[0];
    *second = pairs.val[1];
  }
  /// a·b + c, rounded once.
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float sub(Float a, Float b) { return vsubq_f32(a, b); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float div(Float a, Float b) { return vdivq_f32(a, b); }
  static Float min(Float a, Float b) { return vminq_f32(a, b); }
  static Float max(Float a, Float b) { return vmaxq_f32(a, b); }
  static Float abs(Float a) { return vabsq_f32(a); }
  static Float round(Float a) { return vrndnq_f32(a); }
  /// 2ⁿ for whole n in −126 … 127.
  static Float power_of_two(Float n) {
    return as_float(shift_left<23>(add_int(vcvtnq_s32_f32(n), set1_int(127))));
  }
  /// `value`, or 0 in the lanes where x < limit.
  static Float zero_where_below(Float x, Float limit, Float value) {
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), vcltq_f32(x, limit)));
  }
  static float sum(Float v) { return vaddvq_f32(v); }
  static float largest(Float v) { return vmaxvq_f32(v); }

  /// out[j · to + i] = in[i · from + j] for i and j below kSquare.
  static void transpose(const float* in, std::int64_t from, float* out, std::int64_t to) {
    const float32x4_t r0 = load(in), r1 = load(in + from), r2 = load(in + 2 * from), r3 = load(in + 3 * from);
    const float32x4x2_t even = vzipq_f32(r0, r2);  // 00 20 01 21, 02 22 03 23
    const float32x4x2_t odd = vzipq_f32(r1, r3);
    const float32x4x2_t low = vzipq_f32(even.val[0], odd.val[0]);  // 00 10 20 30, 01 11 21 31
    const float32x4x2_t high = vzipq_f32(even.val[1], odd.val[1]);
    store(out, low.val[0]);
    store(out + to, low.val[1]);
    store(out + 2 * to, high.val[0]);
    store(out + 3 * to, high.val[1]);
  }

  static Int zero_int() { return vdupq_n_s32(0); }
  static Int set1_int(std::int32_t x) { return vdupq_n_s32(x); }
  static Int load_bytes(const std::byte* p) {
    return vreinterpretq_s32_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(p)));
  }
  /// kLanes bytes, one a lane.
  static Int load_u8(const std::byte* p) {
    std::uint32_t four;
    std::memcpy(&four, p, sizeof four);
    const uint16x8_t wide = vmovl_u8(vcreate_u8(four));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
  }
  static Int load_i8(const std::byte* p) {
    std::uint32_t four;
    std::memcpy(&four, p, sizeof four);
    const int16x8_t wide = vmovl_s8(vcreate_s8(four));
    return vmovl_s16(vget_low_s16(wide));
  }
  static Int add_int(Int a, Int b) { return vaddq_s32(a, b); }
  static Int sub_int(Int a, Int b) { return vsubq_s32(a, b); }
  static Int and_int(Int a, Int b) { return vandq_s32(a, b); }
  static Int xor_int(Int a, Int b) { return veorq_s32(a, b); }
  static Int or_int(Int a, Int b) { return vorrq_s32(a, b); }
  template <int kBits>
  static Int shift_left(Int a) {
    return vshlq_n_s32(a, kBits);
  }
  /// Arithmetic.
  template <int kBits>
  static Int shift_right(Int a) {
    if constexpr (kBits == 0) {
      return a;  // the instruction has no shift by 0
    } else {
      return vshrq_n_s32(a, kBits);
    }
  }
  static Float to_float(Int a) { return vcvtq_f32_s32(a); }
  static Float as_float(Int a) { return vreinterpretq_f32_s32(a); }
  static Int to_nearest_int(Float a) { return vcvtnq_s32_f32(a); }
  /// The lanes, which fit a byte, as kLanes bytes.
  static void store_bytes(std::int8_t* p, Int a) {
    const int16x4_t words = vmovn_s32(a);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    const std::int32_t four = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
    std::memcpy(p, &four, sizeof four);
  }
  static std::int32_t sum_int(Int v) { return vaddvq_s32(v); }
};

}  // namespace
}  // namespace lattice::cpu
