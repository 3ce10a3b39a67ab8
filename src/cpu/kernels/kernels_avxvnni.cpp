// What AVX-VNNI adds to the AVX2 kernels: products with int8 activations, in registers of 256 bits.

#include "cpu/kernels/dot_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_avx2.h"

namespace lattice::cpu {
namespace {

/// AVX2's registers, for tiles of this instruction. By two registers of rows: 12 products, or 8 of one half
/// of a block, then of the other.
struct AvxVnni : Avx2 {
  static constexpr int kDotTokens = 6;
  static constexpr int kDotHalfTokens = 4;
};

/// What dot_panels.h is written over.
struct BytesAvxVnni {
  using Input = BroadcastInput<AvxVnni>;
  static __m256i multiply_add(__m256i sum, __m256i a, __m256i b) {
    return _mm256_dpbusd_avx_epi32(sum, a, b);
  }
  static __m256i load_again(const std::byte* aligned) {
    return *reinterpret_cast<const volatile __m256i*>(aligned);
  }
  static __m256i sub_bytes(__m256i a, __m256i b) { return _mm256_sub_epi8(a, b); }
};

}  // namespace

const Kernels& avxvnni_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels = avx2_kernels();
    add_dot_products<AvxVnni, BytesAvxVnni>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
