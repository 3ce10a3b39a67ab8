#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "quant/dtype.h"

namespace lattice {

// ggml's blocks, laid out as in its files (ggml-org/ggml src/ggml-common.h): little endian, no padding.
// `d` and `m` are IEEE binary16.

struct block_q8_0 {  // value d · q
  std::uint16_t d;
  std::int8_t q[32];
};
static_assert(sizeof(block_q8_0) == 34);

struct block_q4_0 {  // value d · (q − 8); byte j: element j in the low nibble, j + 16 in the high one
  std::uint16_t d;
  std::uint8_t q[16];
};
static_assert(sizeof(block_q4_0) == 18);

/// Dequantises `out.size()` elements, a multiple of block_elements(dtype), from `in`. Any type but kAffine.
void dequantize_blocks(DType dtype, const std::byte* in, std::span<float> out);

/// Quantises or rounds `in` (a multiple of block_elements(dtype)) to `out`, bit-equal to ggml's reference
/// rounding. kF32, kF16, kBF16, kQ8_0, kQ4_0; anything else throws Error(kUsage).
void quantize_blocks(DType dtype, std::span<const float> in, std::byte* out);

}  // namespace lattice
