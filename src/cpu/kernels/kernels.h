#pragma once

#include <cstddef>
#include <cstdint>

namespace lattice::cpu {

// The functions that are written once per instruction set, behind one table of pointers. Everything else of
// the CPU backend is plain C++ that calls them.

constexpr std::int64_t kGroupRows = 4;  ///< rows of a matrix that are stored, and multiplied, together
constexpr std::int64_t kBlock = 32;     ///< columns that are stored together, and that share a scale

/// Packed weights: for each group of four rows, for each block of 32 columns, the block of the first row,
/// then of the second, … Rows and columns are padded with zeros to whole groups and blocks. Scales of the
/// quantised formats stand apart, in the same order: [group][block][4] binary16.
struct PackedRows {
  const std::byte* quants = nullptr;
  const std::uint16_t* scales = nullptr;
  std::int64_t rows = 0;    ///< without padding
  std::int64_t blocks = 0;  ///< of 32 columns
};

/// One vector made ready for multiplication. The int8 part is there for quantised weights, unless activations
/// stay exact.
struct Activation {
  const float* values = nullptr;        ///< [blocks · 32], padded with zeros
  const std::int8_t* quants = nullptr;  ///< [blocks · 32], in −127 … 127
  const float* scales = nullptr;        ///< [blocks]: value ≈ scale · quant
  const float* sums = nullptr;          ///< [blocks]: scale · Σ quants, for formats with an offset
};

/// y[row] for the rows of groups [first, last). y has room for whole groups.
using Gemv = void (*)(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation& x,
                      float* y);

/// The same for `tokens` vectors: row r of token t goes to y[t · stride + r]. Rows past weights.rows are not
/// written.
using Gemm = void (*)(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
                      std::int64_t tokens, float* y, std::int64_t stride);

struct FormatKernels {
  Gemv gemv = nullptr;
  Gemm gemm = nullptr;
};

struct Kernels {
  FormatKernels f32;
  FormatKernels f16;
  FormatKernels bf16;
  FormatKernels q8_0;  ///< with int8 activations
  FormatKernels q4_0;
  FormatKernels q8_0_exact;  ///< with float activations
  FormatKernels q4_0_exact;

  /// Fills quants, scales and sums of `blocks` blocks from `values`: scale = max|v| / 127 of each block,
  /// quant = v / scale to nearest.
  void (*quantize)(const float* values, std::int64_t blocks, std::int8_t* quants, float* scales, float* sums);

  /// Σ a[i]·b[i]. n is a multiple of 8.
  float (*dot)(const float* a, const float* b, std::int64_t n);
  /// y += a·x. n is a multiple of 8.
  void (*axpy)(float a, const float* x, float* y, std::int64_t n);
  /// out[i] = silu(gate[i]) · up[i], with gate and up in turn: pairs[2i], pairs[2i + 1].
  void (*swiglu_pairs)(const float* pairs, float* out, std::int64_t n);
  /// x[i] = silu(x[i]).
  void (*silu)(float* x, std::int64_t n);
  /// c [m, n] (+)= a [m, k] · b [k, n], row-major with the given strides. n is a multiple of 16.
  void (*matmul)(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
                 std::int64_t c_stride, std::int64_t m, std::int64_t n, std::int64_t k, bool accumulate);
  /// One row of the delta rule, in place: with s the row of n values, n a multiple of 8,
  ///   predicted = decay·s·k, u = beta·(v − predicted), s ← decay·s + u·k, returns decay·s_old·q + u·kq.
  float (*delta_row)(float* s, const float* k, const float* q, float decay, float beta, float v, float kq,
                     std::int64_t n);
  /// binary16 ↔ float, n a multiple of 8.
  void (*to_f16)(const float* in, std::uint16_t* out, std::int64_t n);
  void (*from_f16)(const std::uint16_t* in, float* out, std::int64_t n);
  float (*dot_f16)(const float* a, const std::uint16_t* b, std::int64_t n);
  void (*axpy_f16)(float a, const std::uint16_t* x, float* y, std::int64_t n);
  /// Reads every byte, as gemv reads weights, and returns something that depends on all of them. bytes is a
  /// multiple of 128.
  std::uint64_t (*read_all)(const std::byte* from, std::int64_t bytes);
};

[[nodiscard]] const Kernels& scalar_kernels() noexcept;
#if defined(__x86_64__)
[[nodiscard]] const Kernels& avx2_kernels() noexcept;
#endif

}  // namespace lattice::cpu
