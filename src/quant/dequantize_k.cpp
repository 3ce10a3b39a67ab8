// The K-quants: super-blocks of 256 elements, whose sub-blocks' scales are themselves quantised.

#include <cstring>

#include "quant/dequantize.h"
#include "quant/k_scales.h"
#include "support/float16.h"

namespace lattice::dequantize {
namespace {

float f16_at(const std::byte* p) {
  std::uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return f16_to_f32(bits);
}

int u8(std::byte b) {
  return static_cast<int>(b);
}

/// The 6-bit scale of sub-block `j` of Q3_K's sixteen, less its offset of 32: low nibbles in bytes 0 … 7,
/// high pairs in 8 … 11.
int q3_scale(const std::byte* s, int j) {
  const int low = j < 8 ? u8(s[j]) & 15 : u8(s[j - 8]) >> 4;
  const int high = (u8(s[8 + j % 4]) >> (2 * (j / 4))) & 3;
  return (low | (high << 4)) - 32;
}

}  // namespace

// u8 scales[16] (low nibble scale, high nibble minimum); u8 qs[64]; f16 d; f16 dmin
void q2_k(const std::byte* in, float* out) {
  const std::byte* scales = in;
  const std::byte* qs = in + 16;
  const float d = f16_at(in + 80);
  const float dmin = f16_at(in + 82);
  for (int half = 0; half < 2; ++half) {
    for (int group = 0; group < 8; ++group) {  // sixteen elements each
      const int packed = u8(scales[8 * half + group]);
      const float scale = d * static_cast<float>(packed & 15);
      const float min = dmin * static_cast<float>(packed >> 4);
      const int shift = 2 * (group / 2);
      for (int l = 0; l < 16; ++l) {
        const int q = (u8(qs[32 * half + 16 * (group % 2) + l]) >> shift) & 3;
        *out++ = scale * static_cast<float>(q) - min;
      }
    }
  }
}

// u8 hmask[32]; u8 qs[64]; u8 scales[12]; f16 d
void q3_k(const std::byte* in, float* out) {
  const std::byte* hmask = in;
  const std::byte* qs = in + 32;
  const std::byte* scales = in + 96;
  const float d = f16_at(in + 108);
  for (int half = 0; half < 2; ++half) {
    for (int group = 0; group < 8; ++group) {
      const float scale = d * static_cast<float>(q3_scale(scales, 8 * half + group));
      const int shift = 2 * (group / 2);
      const int bit = 4 * half + group / 2;
      for (int l = 0; l < 16; ++l) {
        const int at = 16 * (group % 2) + l;
        const int q = (u8(qs[32 * half + at]) >> shift) & 3;
        const int offset = (u8(hmask[at]) >> bit) & 1 ? 0 : 4;
        *out++ = scale * static_cast<float>(q - offset);
      }
    }
  }
}

// f16 d; f16 dmin; u8 scales[12]; u8 qs[128]
void q4_k(const std::byte* in, float* out) {
  const float d = f16_at(in);
  const float dmin = f16_at(in + 2);
  for (int j = 0; j < 8; ++j) {
    const KScale sm = k_scale(in + 4, j);
    const float scale = d * static_cast<float>(sm.scale);
    const float min = dmin * static_cast<float>(sm.min);
    const std::byte* qs = in + 16 + 32 * (j / 2);
    for (int l = 0; l < 32; ++l) *out++ = scale * static_cast<float>((u8(qs[l]) >> (4 * (j % 2))) & 15) - min;
  }
}

// f16 d; f16 dmin; u8 scales[12]; u8 qh[32]; u8 qs[128]
void q5_k(const std::byte* in, float* out) {
  const float d = f16_at(in);
  const float dmin = f16_at(in + 2);
  const std::byte* qh = in + 16;
  for (int j = 0; j < 8; ++j) {
    const KScale sm = k_scale(in + 4, j);
    const float scale = d * static_cast<float>(sm.scale);
    const float min = dmin * static_cast<float>(sm.min);
    const std::byte* qs = in + 48 + 32 * (j / 2);
    for (int l = 0; l < 32; ++l) {
      const int q = ((u8(qs[l]) >> (4 * (j % 2))) & 15) | (((u8(qh[l]) >> j) & 1) << 4);
      *out++ = scale * static_cast<float>(q) - min;
    }
  }
}

// u8 ql[128]; u8 qh[64]; i8 scales[16]; f16 d
void q6_k(const std::byte* in, float* out) {
  const float d = f16_at(in + 208);
  for (int half = 0; half < 2; ++half) {
    const std::byte* ql = in + 64 * half;
    const std::byte* qh = in + 128 + 32 * half;
    const std::byte* scales = in + 192 + 8 * half;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int l = 0; l < 32; ++l) {
        const int nibble = (u8(ql[32 * (quarter % 2) + l]) >> (4 * (quarter / 2))) & 15;
        const int pair = (u8(qh[l]) >> (2 * quarter)) & 3;
        const auto scale = static_cast<std::int8_t>(scales[2 * quarter + l / 16]);
        *out++ = d * static_cast<float>(scale) * static_cast<float>((nibble | (pair << 4)) - 32);
      }
    }
  }
}

}  // namespace lattice::dequantize
