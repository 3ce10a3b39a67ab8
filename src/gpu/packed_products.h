#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gpu/device.h"
#include "gpu/gpu_weights.h"

namespace lattice::gpu {

// A prompt's matrices by way of the device's own library (MatrixProduct), which takes 16-bit floats. What
// packs and unpacks them is kernels/pack.metal.

/// Whether a device's library multiplies a matrix: not F32, which its 16-bit floats do not hold, and not the
/// quantised formats where `exact` asks for weights as they are, since they are rounded to half there.
[[nodiscard]] bool library_takes(const DeviceMatrix& matrix, bool exact) noexcept;

/// What a group of matrices that meet the same input have it packed in.
struct Packing {
  bool bfloat = false;      ///< bfloat16, or half
  std::uint32_t parts = 1;  ///< one 16-bit float for each activation, or a second for what the first has lost
  bool exact = false;       ///< see library_takes()

  /// Whether the library multiplies a matrix with inputs of this packing. Others go to the GEMM kernel.
  [[nodiscard]] bool suits(const DeviceMatrix& matrix) const noexcept;
};

/// The packing of the input of `matrices`. BF16 and F16 weights are multiplied with both parts: products with
/// them are to be as good as float32's. Quantised weights meet one part, whose rounding is finer than their
/// blocks' steps by far. Null where the library takes none of them.
[[nodiscard]] std::optional<Packing> choose_packing(std::span<const DeviceMatrix* const> matrices,
                                                    bool exact);

/// The power of two that packs what an RMSNorm gives, whose values are below `bound`.
[[nodiscard]] float norm_factor(float bound, const Packing& packing) noexcept;

/// Elements of a matrix's row as the library reads it.
[[nodiscard]] inline std::uint32_t packed_cols(const DeviceMatrix& matrix) noexcept {
  return matrix.row_chunks * chunk_cols(matrix.format);
}

/// Rows of 16-bit floats in up to two parts.
struct PackedRows {
  PackedRows(Device& device, std::uint32_t rows, std::uint32_t row_elements);

  std::uint32_t stride;  ///< elements from one token's row to the next
  std::uint32_t plane;   ///< and from one part to the next
  std::unique_ptr<Buffer> bits;
};

/// Matrices of a layer that are unpacked at the same time.
enum class Unpacked : std::uint8_t { kIn, kOut, kGateUp, kDown };

/// What stands between the kernels and the library. One for all sequences.
struct PackedWorkspace {
  PackedWorkspace(Device& device, const Config& config, const GpuWeights& weights, std::uint32_t rows,
                  bool exact);

  PackedRows normed;     ///< the input of a mixer or an MLP
  PackedRows mixed;      ///< a mixer's output
  PackedRows activated;  ///< the MLP's inner values
  std::uint32_t gate_up_stride;
  std::unique_ptr<Buffer> gate_up;  ///< [rows, gate_up_stride], rows of gate and up in turn
  std::unique_ptr<Buffer> sums;     ///< [rows, the residual stream's stride], to be added to it,
  std::unique_ptr<Buffer> scales;   ///< [rows], each row times this
  std::array<std::unique_ptr<Buffer>, 4>
      half;  ///< by Unpacked: quantised matrices as half; null where none is
};

/// Appends what makes half of a quantised matrix, `first` elements behind the beginning of
/// workspace.half[place]. Nothing for other formats.
void record_unpack(Device& device, Commands& commands, const DeviceMatrix& matrix, Unpacked place,
                   std::size_t first, const PackedWorkspace& work);

/// Y = X Wᵀ.
struct PackedProduct {
  const DeviceMatrix& matrix;
  Packing packing;
  const PackedRows& x;
  float x_factor = 1;  ///< that x was packed with
  Unpacked place;      ///< where record_unpack() has left a quantised matrix
  std::size_t first = 0;
  const Buffer& y;
  std::uint32_t y_stride;
  std::size_t y_first = 0;  ///< of y, in floats
};

/// Appends a product for `rows` tokens, and a barrier between its parts.
void record_product(Commands& commands, const PackedProduct& product, std::uint32_t rows,
                    const PackedWorkspace& work);

}  // namespace lattice::gpu
