// What stands between a prompt's floats and a device's own matrix library (MatrixProduct in gpu/device.h), which
// multiplies 16-bit floats and adds up in float32.
//
// Weights in F16 and BF16 are taken as they are; unpack makes half of the quantised ones. Activations are packed into one
// part or two, the second holding what rounding to the first has lost: of a number, one half keeps 2⁻¹², two 2⁻²², two
// bfloat16 2⁻¹⁷. A product with two parts is the sum of the products with each.
//
// Half ends at 65504, and activations do not: so each row of a packed matrix is scaled by a power of two, which loses
// nothing and comes off behind the product. Behind a norm the host knows a factor that always serves; elsewhere
// the row's largest number decides, and `scales` keeps what undoes it.
//
// A threadgroup takes a row.

#include <metal_stdlib>

#include "activations.h"
#include "formats.h"
#include "kernel_args.h"
#include "tiles.h"

using namespace metal;
using namespace lattice_gpu;

constant uint kSimdgroups [[function_constant(LATTICE_FC_SIMDGROUPS)]];
constant uint kParts [[function_constant(LATTICE_FC_PARTS)]];
constant bool kBfloat [[function_constant(LATTICE_FC_BFLOAT)]];
constant bool kAdd [[function_constant(LATTICE_FC_ADD)]];
constant bool kFloats [[function_constant(LATTICE_FC_FLOATS)]];
constant uint kThreads = kSimdgroups * 32;

constant constexpr uint kMaxSimdgroups = 8;
constant constexpr uint kHeld = 8;  // vectors of a row that a thread keeps from one pass over it to the next

namespace lattice_gpu {

/// The nearest bfloat16 of a float, ties to even, as its bits.
inline uint bfloat_bits(float x) {
  const uint bits = as_type<uint>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0u;  // no number stays none
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

/// The nearest 16-bit float of each element as its bits, and what is left of them.
inline ushort4 round_to_16(float4 x, thread float4& rest) {
  ushort4 bits;
  if (kBfloat) {
#pragma unroll
    for (uint i = 0; i < 4; ++i) {
      const uint high = bfloat_bits(x[i]);
      bits[i] = ushort(high);
      rest[i] = x[i] - as_type<float>(high << 16);
    }
  } else {
    const half4 rounded = half4(x);
    bits = as_type<ushort4>(rounded);
    rest = x - float4(rounded);
  }
  return bits;
}

/// x → element 4i of a packed row, in its parts.
inline void store_packed(float4 x, device ushort* row, uint plane, uint i) {
  float4 rest;
  reinterpret_cast<device ushort4*>(row)[i] = round_to_16(x, rest);
  if (kParts == 2) {
    float4 lost;
    reinterpret_cast<device ushort4*>(row + plane)[i] = round_to_16(rest, lost);
  }
}

/// The sum of all threads' values, in each of them. `partial` is free again behind the next barrier.
inline float group_sum(float x, threadgroup float* partial, uint simdgroup, uint lane) {
  x = lattice_simd_sum(x);
  if (lane == 0) partial[simdgroup] = x;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float total = 0;
  for (uint i = 0; i < kSimdgroups; ++i) total += partial[i];
  return total;
}

/// The largest of all threads' values likewise, which are at least 0.
inline float group_max(float x, threadgroup float* partial, uint simdgroup, uint lane) {
  x = simd_max(x);
  if (lane == 0) partial[simdgroup] = x;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  float largest = 0;
  for (uint i = 0; i < kSimdgroups; ++i) largest = max(largest, partial[i]);
  return largest;
}

inline float largest_of(float4 x) {
  const float4 size = fabs(x);
  return max(max(size.x, size.y), max(size.z, size.w));
}

/// The power of two that brings `largest` to between 2¹⁴ and 2¹⁵, so that half holds it, and its inverse. 1 where
/// bfloat16 is packed, whose range is float's.
inline float2 row_factor(float largest) {
  if (kBfloat) return float2(1.0f);
  const int exponent = clamp(int(as_type<uint>(largest) >> 23) - 127, -100, 100);
  return float2(as_type<float>(uint(127 + 14 - exponent) << 23), as_type<float>(uint(127 - 14 + exponent) << 23));
}

struct RowOf {
  device const float4* x;
  float4 operator()(uint i) const { return x[i]; }
};

/// SwiGLU of rows in pairs.
struct GatedRow {
  device const float4* x;
  float4 operator()(uint i) const {
    const float4 low = x[2 * i];
    const float4 high = x[2 * i + 1];
    return float4(silu(low.x) * low.y, silu(low.z) * low.w, silu(high.x) * high.y, silu(high.z) * high.w);
  }
};

/// A row's vectors value(0) … value(vectors − 1), scaled and packed.
template <typename Value>
void pack_row(Value value, uint vectors, device ushort* row, uint plane, device float* scale,
              threadgroup float* partial, uint thread_index, uint simdgroup, uint lane) {
  float4 held[kHeld];
  float largest = 0;
#pragma unroll
  for (uint n = 0; n < kHeld; ++n) {
    const uint i = n * kThreads + thread_index;
    held[n] = float4(0);
    if (i >= vectors) continue;
    held[n] = value(i);
    largest = max(largest, largest_of(held[n]));
  }
  for (uint i = kHeld * kThreads + thread_index; i < vectors; i += kThreads) {
    largest = max(largest, largest_of(value(i)));
  }
  const float2 factor = row_factor(group_max(largest, partial, simdgroup, lane));
#pragma unroll
  for (uint n = 0; n < kHeld; ++n) {
    const uint i = n * kThreads + thread_index;
    if (i < vectors) store_packed(held[n] * factor.x, row, plane, i);
  }
  for (uint i = kHeld * kThreads + thread_index; i < vectors; i += kThreads) {
    store_packed(value(i) * factor.x, row, plane, i);
  }
  if (thread_index == 0) *scale = factor.y;
}

}  // namespace lattice_gpu

/// quants [rows, row_chunks] with their scales → w [rows, row_chunks · the format's columns], times args.factor, half.
/// Threads: one a chunk.
template <typename Format>
[[kernel]] void unpack(device const uint4* quants [[buffer(0)]], device const half* scales [[buffer(1)]],
                       device uint4* w [[buffer(2)]], constant UnpackArgs& args [[buffer(3)]],
                       uint at [[thread_position_in_grid]]) {
  if (at >= args.chunks) return;
  const uint row = at / args.row_chunks;
  const ChunkPlaces places = {args.row_chunks, args.row_blocks, args.row_groups};
  const Chunk chunk = load_chunk<Format>(quants, scales, places, row, at - row * args.row_chunks);
  float values[Format::kCols];
  Format::unpack(chunk, values);
  device uint4* out = w + ulong(at) * (Format::kCols / 8);
#pragma unroll
  for (uint i = 0; i < Format::kCols / 8; ++i) {
    uint4 packed;
#pragma unroll
    for (uint j = 0; j < 4; ++j) {
      packed[j] = as_type<uint>(half2(float2(values[8 * i + 2 * j], values[8 * i + 2 * j + 1]) * args.factor));
    }
    out[i] = packed;
  }
}

template [[host_name("unpack_q8_0")]] [[kernel]] void unpack<FormatQ8_0>(device const uint4*, device const half*,
                                                                         device uint4*, constant UnpackArgs&, uint);
template [[host_name("unpack_q4_0")]] [[kernel]] void unpack<FormatQ4_0>(device const uint4*, device const half*,
                                                                         device uint4*, constant UnpackArgs&, uint);

/// x [tokens, in_stride], to which with ADD each row of sums [tokens, sums_stride], times its scale, is added first → its RMSNorm
/// · weight · factor, packed [PARTS, plane / out_stride, out_stride]; and with FLOATS the same without factor → y [tokens,
/// in_stride]. x and weight are padded with zeros to a multiple of 4. Threadgroups: tokens, of SIMDGROUPS · 32 threads.
[[kernel, max_total_threads_per_threadgroup(256)]] void norm_packed(
    device const PromptSpan& span [[buffer(0)]], device float* x [[buffer(1)]], device const float* sums [[buffer(2)]],
    device const float* scales [[buffer(3)]], device const float* weight [[buffer(4)]],
    device ushort* packed [[buffer(5)]], device float* y [[buffer(6)]], constant PackArgs& args [[buffer(7)]],
    uint token [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float partial[kMaxSimdgroups];
  if (token >= uint(span.tokens)) return;
  device float4* in = reinterpret_cast<device float4*>(x + ulong(token) * args.in_stride);
  device const float4* added = reinterpret_cast<device const float4*>(sums + ulong(token) * args.sums_stride);
  device const float4* scale = reinterpret_cast<device const float4*>(weight);
  const float added_scale = kAdd ? scales[token] : 0.0f;
  const uint vectors = (args.cols + 3) / 4;

  float4 held[kHeld];
  float squares = 0;
#pragma unroll
  for (uint n = 0; n < kHeld; ++n) {
    const uint i = n * kThreads + thread_index;
    held[n] = float4(0);
    if (i >= vectors) continue;
    held[n] = in[i];
    if (kAdd) in[i] = held[n] = held[n] + added[i] * added_scale;
    squares += dot(held[n], held[n]);
  }
  for (uint i = kHeld * kThreads + thread_index; i < vectors; i += kThreads) {
    float4 value = in[i];
    if (kAdd) in[i] = value = value + added[i] * added_scale;
    squares += dot(value, value);
  }
  squares = group_sum(squares, partial, simdgroup, lane);
  const float factor = precise::rsqrt(squares / float(args.cols) + args.epsilon);

  device ushort* row = packed + ulong(token) * args.out_stride;
  device float4* out = reinterpret_cast<device float4*>(y + ulong(token) * args.in_stride);
#pragma unroll
  for (uint n = 0; n < kHeld; ++n) {
    const uint i = n * kThreads + thread_index;
    if (i >= vectors) continue;
    const float4 value = held[n] * factor * scale[i];
    store_packed(value * args.factor, row, args.plane, i);
    if (kFloats) out[i] = value;
  }
  for (uint i = kHeld * kThreads + thread_index; i < vectors; i += kThreads) {
    const float4 value = in[i] * factor * scale[i];
    store_packed(value * args.factor, row, args.plane, i);
    if (kFloats) out[i] = value;
  }
}

/// x [tokens, in_stride] → packed [PARTS, plane / out_stride, out_stride], scales [tokens]. Columns are a multiple of 4, or x is
/// padded with zeros up to one. Threadgroups: tokens, of SIMDGROUPS · 32 threads.
[[kernel, max_total_threads_per_threadgroup(256)]] void pack_rows(
    device const PromptSpan& span [[buffer(0)]], device const float* x [[buffer(1)]], device ushort* packed [[buffer(2)]],
    device float* scales [[buffer(3)]], constant PackArgs& args [[buffer(4)]],
    uint token [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float partial[kMaxSimdgroups];
  if (token >= uint(span.tokens)) return;
  const RowOf row = {reinterpret_cast<device const float4*>(x + ulong(token) * args.in_stride)};
  pack_row(row, (args.cols + 3) / 4, packed + ulong(token) * args.out_stride, args.plane, scales + token, partial,
           thread_index, simdgroup, lane);
}

/// The same of silu(x[2i]) · x[2i + 1], for x [tokens, in_stride] of twice as many columns, which are padded to a multiple of 8.
[[kernel, max_total_threads_per_threadgroup(256)]] void swiglu_packed(
    device const PromptSpan& span [[buffer(0)]], device const float* x [[buffer(1)]], device ushort* packed [[buffer(2)]],
    device float* scales [[buffer(3)]], constant PackArgs& args [[buffer(4)]],
    uint token [[threadgroup_position_in_grid]], uint thread_index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float partial[kMaxSimdgroups];
  if (token >= uint(span.tokens)) return;
  const GatedRow row = {reinterpret_cast<device const float4*>(x + ulong(token) * args.in_stride)};
  pack_row(row, (args.cols + 3) / 4, packed + ulong(token) * args.out_stride, args.plane, scales + token, partial,
           thread_index, simdgroup, lane);
}

/// x [tokens, in_stride] += sums [tokens, sums_stride], each row times its scale. Threadgroups: tokens, of SIMDGROUPS · 32 threads.
[[kernel]] void add_rows(device const PromptSpan& span [[buffer(0)]], device float* x [[buffer(1)]],
                         device const float* sums [[buffer(2)]], device const float* scales [[buffer(3)]],
                         constant PackArgs& args [[buffer(4)]], uint token [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]]) {
  if (token >= uint(span.tokens)) return;
  for (uint i = thread_index; i < args.cols; i += kThreads) {
    x[ulong(token) * args.in_stride + i] += sums[ulong(token) * args.sums_stride + i] * scales[token];
  }
}
