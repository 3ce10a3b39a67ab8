#include "quant/blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/dequantize.h"
#include "support/fail.h"
#include "support/float16.h"

namespace lattice {
namespace {

using BlockDequantizer = void (*)(const std::byte*, float*);

BlockDequantizer block_dequantizer(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return dequantize::q8_0;
    case DType::kQ4_0:
      return dequantize::q4_0;
    case DType::kQ4_1:
      return dequantize::q4_1;
    case DType::kQ5_0:
      return dequantize::q5_0;
    case DType::kQ5_1:
      return dequantize::q5_1;
    case DType::kQ2_K:
      return dequantize::q2_k;
    case DType::kQ3_K:
      return dequantize::q3_k;
    case DType::kQ4_K:
      return dequantize::q4_k;
    case DType::kQ5_K:
      return dequantize::q5_k;
    case DType::kQ6_K:
      return dequantize::q6_k;
    default:
      fail_usage("{} is not a block format", dtype_name(dtype));
  }
}

void store_u16(std::byte* out, std::uint16_t value) {
  std::memcpy(out, &value, sizeof value);
}

/// 1/d, or 0 where that is not finite: such a block is below binary16's smallest number, and all its values
/// become 0.
float reciprocal(float d) {
  const float inverse = 1.0f / d;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

/// `value` cut off to [low, high]; NaN, which no conversion to an integer is defined for, becomes `low`.
int to_code(float value, int low, int high) {
  if (!(value > static_cast<float>(low))) return low;
  return value < static_cast<float>(high) ? static_cast<int>(value) : high;
}

// quantize_row_q8_0_ref: the scale is rounded to binary16 only after its reciprocal was taken.
void quantize_q8_0(const float* in, std::byte* out) {
  float largest = 0.0f;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(in[i]));
  const float d = largest / 127.0f;
  const float inverse = reciprocal(d);
  block_q8_0 block{};
  block.d = f32_to_f16(d);
  for (int i = 0; i < 32; ++i)
    block.q[i] = static_cast<std::int8_t>(to_code(std::round(in[i] * inverse), -127, 127));
  std::memcpy(out, &block, sizeof block);
}

// quantize_row_q4_0_ref: the value of largest magnitude, the first if tied, becomes −8 with its sign kept in
// the scale.
void quantize_q4_0(const float* in, std::byte* out) {
  float largest = 0.0f;
  float signed_largest = 0.0f;
  for (int i = 0; i < 32; ++i) {
    if (std::fabs(in[i]) > largest) {
      largest = std::fabs(in[i]);
      signed_largest = in[i];
    }
  }
  const float d = signed_largest / -8.0f;
  const float inverse = reciprocal(d);
  const auto nibble = [&](float x) {
    return static_cast<std::uint8_t>(
        std::min(15, static_cast<int>(static_cast<std::int8_t>(x * inverse + 8.5f))));
  };
  block_q4_0 block{};
  block.d = f32_to_f16(d);
  for (int i = 0; i < 16; ++i)
    block.q[i] = static_cast<std::uint8_t>(nibble(in[i]) | (nibble(in[i + 16]) << 4));
  std::memcpy(out, &block, sizeof block);
}

using BlockQuantizer = void (*)(const float*, std::byte*);

BlockQuantizer block_quantizer(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return [](const float* in, std::byte* out) { std::memcpy(out, in, sizeof *in); };
    case DType::kF16:
      return [](const float* in, std::byte* out) { store_u16(out, f32_to_f16(*in)); };
    case DType::kBF16:
      return [](const float* in, std::byte* out) { store_u16(out, f32_to_bf16(*in)); };
    case DType::kQ8_0:
      return quantize_q8_0;
    case DType::kQ4_0:
      return quantize_q4_0;
    default:
      fail_usage("weights cannot be quantised to {}; choose F32, F16, BF16, Q8_0 or Q4_0", dtype_name(dtype));
  }
}

}  // namespace

void dequantize_blocks(DType dtype, const std::byte* in, std::span<float> out) {
  switch (dtype) {
    case DType::kF32:
      return dequantize::f32(in, out);
    case DType::kF16:
      return dequantize::f16(in, out);
    case DType::kBF16:
      return dequantize::bf16(in, out);
    default:
      break;
  }
  const BlockDequantizer one = block_dequantizer(dtype);
  const auto elements = static_cast<std::size_t>(block_elements(dtype));
  for (std::size_t i = 0; i + elements <= out.size(); i += elements) {
    one(in, out.data() + i);
    in += block_bytes(dtype);
  }
}

void quantize_blocks(DType dtype, std::span<const float> in, std::byte* out) {
  const BlockQuantizer one = block_quantizer(dtype);
  const auto elements = static_cast<std::size_t>(block_elements(dtype));
  for (std::size_t i = 0; i + elements <= in.size(); i += elements) {
    one(in.data() + i, out);
    out += block_bytes(dtype);
  }
}

}  // namespace lattice
