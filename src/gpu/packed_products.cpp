#include "gpu/packed_products.h"

#include <algorithm>
#include <cmath>

#include "gpu/grid.h"
#include "gpu/kernels/kernel_args.h"
#include "quant/linear_row.h"

namespace lattice::gpu {
namespace {

constexpr std::size_t kElementBytes = 2;
constexpr std::uint32_t kUnpackThreads = 256;
constexpr int kHalfExponent = 14;   // packed numbers are below 2¹⁵, and half holds them up to 2¹⁶
constexpr int kMostExponent = 100;  // of a factor: beyond it lies nothing that a model computes

float power_of_two(int exponent) {
  return std::ldexp(1.0f, std::clamp(exponent, -kMostExponent, kMostExponent));
}

std::size_t elements(const DeviceMatrix& matrix) {
  return std::size_t{matrix.rows} * packed_cols(matrix);
}

/// Of those that are unpacked, together.
std::size_t unpacked_elements(std::span<const DeviceMatrix* const> matrices, bool exact) {
  std::size_t out = 0;
  for (const DeviceMatrix* matrix : matrices) {
    if (has_block_scales(matrix->format) && library_takes(*matrix, exact)) out += elements(*matrix);
  }
  return out;
}

}  // namespace

bool library_takes(const DeviceMatrix& matrix, bool exact) noexcept {
  return matrix.format != DType::kF32 && !(exact && has_block_scales(matrix.format));
}

bool Packing::suits(const DeviceMatrix& matrix) const noexcept {
  return library_takes(matrix, exact) && (matrix.format == DType::kBF16) == bfloat;
}

std::optional<Packing> choose_packing(std::span<const DeviceMatrix* const> matrices, bool exact) {
  bool any = false;
  Packing out{.bfloat = true, .parts = 1, .exact = exact};
  for (const DeviceMatrix* matrix : matrices) {
    if (!library_takes(*matrix, exact)) continue;
    any = true;
    out.bfloat &= matrix->format == DType::kBF16;
    if (!has_block_scales(matrix->format)) out.parts = 2;
  }
  return any ? std::optional(out) : std::nullopt;
}

float norm_factor(float bound, const Packing& packing) noexcept {
  if (packing.bfloat || !(bound > 0) || !std::isfinite(bound)) return 1;
  return power_of_two(kHalfExponent - std::ilogb(bound));
}

PackedRows::PackedRows(Device& device, std::uint32_t rows, std::uint32_t row_elements)
    : stride(row_elements),
      plane(rows * row_elements),
      bits(device.allocate(std::size_t{2} * plane * kElementBytes)) {}

PackedWorkspace::PackedWorkspace(Device& device, const Config& config, const GpuWeights& weights,
                                 std::uint32_t rows, bool exact)
    : normed(device, rows, row_stride(config.hidden_size)),
      mixed(device, rows, row_stride(std::max(config.linear_v_dim(), config.q_dim()))),
      activated(device, rows, row_stride(config.intermediate_size)),
      gate_up_stride(row_stride(2 * config.intermediate_size)),
      gate_up(device.allocate(std::size_t{rows} * gate_up_stride * sizeof(float))),
      sums(device.allocate(std::size_t{rows} * normed.stride * sizeof(float))),
      scales(device.allocate(std::size_t{rows} * sizeof(float))) {
  std::array<std::size_t, 4> most{};
  const auto take = [&](Unpacked place, std::span<const DeviceMatrix* const> matrices) {
    std::size_t& largest = most[static_cast<std::size_t>(place)];
    largest = std::max(largest, unpacked_elements(matrices, exact));
  };
  for (const GpuLayer& layer : weights.layers) {
    take(Unpacked::kIn, layer.in_matrices());
    take(Unpacked::kOut, std::array{&layer.out_matrix()});
    take(Unpacked::kGateUp, std::array{&layer.gate_up});
    take(Unpacked::kDown, std::array{&layer.down});
  }
  for (std::size_t i = 0; i < most.size(); ++i) {
    if (most[i] != 0) half[i] = device.allocate(most[i] * kElementBytes);
  }
}

void record_unpack(Device& device, Commands& commands, const DeviceMatrix& matrix, Unpacked place,
                   std::size_t first, const PackedWorkspace& work) {
  if (!has_block_scales(matrix.format)) return;
  const lattice_gpu::UnpackArgs args{.chunks = matrix.rows * matrix.row_chunks,
                                     .row_chunks = matrix.row_chunks,
                                     .row_blocks = matrix.row_blocks,
                                     .row_groups = matrix.row_groups,
                                     .factor = matrix.half_factor};
  commands.dispatch(device.kernel("unpack_" + kernel_suffix(matrix.format), {}),
                    {*matrix.quants,
                     *matrix.scales,
                     {*work.half[static_cast<std::size_t>(place)], first * kElementBytes},
                     args},
                    {ceil_div(args.chunks, kUnpackThreads)}, kUnpackThreads);
}

void record_product(Commands& commands, const PackedProduct& product, std::uint32_t rows,
                    const PackedWorkspace& work) {
  const DeviceMatrix& matrix = product.matrix;
  const bool unpacked = has_block_scales(matrix.format);
  const float w_factor = unpacked ? matrix.half_factor : 1.0f;
  for (std::uint32_t part = product.packing.parts; part-- > 0;) {  // the smaller numbers first
    const bool accumulate = part + 1 != product.packing.parts;
    if (accumulate) commands.barrier();
    commands.product({.element = product.packing.bfloat ? MatrixProduct::Element::kBfloat16
                                                        : MatrixProduct::Element::kHalf,
                      .vectors = rows,
                      .rows = matrix.rows,
                      .cols = packed_cols(matrix),
                      .w = unpacked ? Argument(*work.half[static_cast<std::size_t>(product.place)],
                                               product.first * kElementBytes)
                                    : Argument(*matrix.quants),
                      .w_stride = packed_cols(matrix),
                      .x = {*product.x.bits, std::size_t{part} * product.x.plane * kElementBytes},
                      .x_stride = product.x.stride,
                      .y = {product.y, product.y_first * sizeof(float)},
                      .y_stride = product.y_stride,
                      .alpha = 1.0f / product.x_factor / w_factor,
                      .accumulate = accumulate});
  }
}

}  // namespace lattice::gpu
