#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lattice::dequantize {

// One function a format. The block formats take one block and write its 32 or 256 elements; products and sums
// in float, in the order of ggml's reference (ggml-org/ggml src/ggml-quants.c, dequantize_row_*), so that
// results are equal bit for bit.

void f32(const std::byte* in, std::span<float> out);
void f16(const std::byte* in, std::span<float> out);
void bf16(const std::byte* in, std::span<float> out);

void q8_0(const std::byte* in, float* out);
void q4_0(const std::byte* in, float* out);
void q4_1(const std::byte* in, float* out);
void q5_0(const std::byte* in, float* out);
void q5_1(const std::byte* in, float* out);

void q2_k(const std::byte* in, float* out);
void q3_k(const std::byte* in, float* out);
void q4_k(const std::byte* in, float* out);
void q5_k(const std::byte* in, float* out);
void q6_k(const std::byte* in, float* out);

}  // namespace lattice::dequantize
