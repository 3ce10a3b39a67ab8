// What AMX adds to the AVX-512 VNNI kernels: products with the vectors of a prompt.

#include "cpu/kernels/bf16_tiles.h"
#include "cpu/kernels/byte_tiles.h"
#include "cpu/kernels/product_kernels.h"

namespace lattice::cpu {
namespace {

/// Decode steps as with AVX-512 VNNI, prompts in tiles.
template <PackedFormat kFormat, Product kPromptProduct>
void product(const PackedRows& weights, std::int64_t first, std::int64_t last, const Activation* x,
             std::int64_t tokens, float* y, std::int64_t stride) {
  const Product of_tokens =
      tokens <= kStepTokens ? avx512vnni_kernels().products[index_of(kFormat)] : kPromptProduct;
  of_tokens(weights, first, last, x, tokens, y, stride);
}

/// For the products in tiles and for those that are left to AVX-512 VNNI.
void widen(const Activation& x, std::int64_t blocks, const WidenedVector& to) {
  avx512vnni_kernels().widen(x, blocks, to);
  widen_in_tiles(x, blocks, to);
}

}  // namespace

const Kernels& amx_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels = avx512vnni_kernels();
    kernels.products[index_of(PackedFormat::kBF16)] = product<PackedFormat::kBF16, bf16_prompt_product>;
    kernels.split = split;
    each_coded([&]<PackedFormat kFormat, typename Format>(Named<kFormat, Format>) {
      if constexpr (Format::kHalves == 1)
        kernels.products[index_of(kFormat)] = product<kFormat, tile_prompt_product<Format>>;
    });
    kernels.widen = widen;
    kernels.prompt_forms.tiles = true;
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
