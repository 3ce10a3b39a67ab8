// The formats of 32 elements a block, and the plain floats.

#include <cstring>

#include "quant/dequantize.h"
#include "support/float16.h"

namespace lattice::dequantize {
namespace {

std::uint16_t u16_at(const std::byte* p) {
  std::uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

std::uint32_t u32_at(const std::byte* p) {
  std::uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

int low(std::byte b) {
  return static_cast<int>(b) & 15;
}
int high(std::byte b) {
  return static_cast<int>(b) >> 4;
}

}  // namespace

void f32(const std::byte* in, std::span<float> out) {
  std::memcpy(out.data(), in, out.size_bytes());
}

void f16(const std::byte* in, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = f16_to_f32(u16_at(in + 2 * i));
}

void bf16(const std::byte* in, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_f32(u16_at(in + 2 * i));
}

void q8_0(const std::byte* in, float* out) {
  const float d = f16_to_f32(u16_at(in));
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<std::int8_t>(in[2 + i])) * d;
}

void q4_0(const std::byte* in, float* out) {
  const float d = f16_to_f32(u16_at(in));
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(low(in[2 + i]) - 8) * d;
    out[i + 16] = static_cast<float>(high(in[2 + i]) - 8) * d;
  }
}

void q4_1(const std::byte* in, float* out) {
  const float d = f16_to_f32(u16_at(in));
  const float m = f16_to_f32(u16_at(in + 2));
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(low(in[4 + i])) * d + m;
    out[i + 16] = static_cast<float>(high(in[4 + i])) * d + m;
  }
}

void q5_0(const std::byte* in, float* out) {
  const float d = f16_to_f32(u16_at(in));
  const std::uint32_t fifth = u32_at(in + 2);
  for (int i = 0; i < 16; ++i) {
    const int first = low(in[6 + i]) | static_cast<int>(((fifth >> i) & 1u) << 4);
    const int second = high(in[6 + i]) | static_cast<int>(((fifth >> (i + 16)) & 1u) << 4);
    out[i] = static_cast<float>(first - 16) * d;
    out[i + 16] = static_cast<float>(second - 16) * d;
  }
}

void q5_1(const std::byte* in, float* out) {
  const float d = f16_to_f32(u16_at(in));
  const float m = f16_to_f32(u16_at(in + 2));
  const std::uint32_t fifth = u32_at(in + 4);
  for (int i = 0; i < 16; ++i) {
    const int first = low(in[8 + i]) | static_cast<int>(((fifth >> i) & 1u) << 4);
    const int second = high(in[8 + i]) | static_cast<int>(((fifth >> (i + 16)) & 1u) << 4);
    out[i] = static_cast<float>(first) * d + m;
    out[i + 16] = static_cast<float>(second) * d + m;
  }
}

}  // namespace lattice::dequantize
