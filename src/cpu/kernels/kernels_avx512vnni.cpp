// What AVX-512 VNNI adds to the AVX-512 kernels: products with int8 activations.

#include "cpu/kernels/dot_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_avx512.h"

namespace lattice::cpu {
namespace {

/// vpdpbusd multiplies four unsigned by four signed bytes and adds them to 32 bits.
struct DotVnni {
  template <int>
  struct Unsigned {
    static constexpr int kOffset = 0;
    using Codes = __m512i;
    using Sum = __m512i;
    static Codes prepare(__m512i codes) { return codes; }
    static Sum zero() { return _mm512_setzero_si512(); }
    template <int>
    static Sum add(Sum sum, Codes w, __m512i x) {
      return _mm512_dpbusd_epi32(sum, w, x);
    }
    static __m512i total(Sum sum) { return sum; }
  };

  /// Signed codes become unsigned by adding 128, which is turning their top bit round: 32 · 255 · 127 is far
  /// from 32 bits.
  struct Signed : Unsigned<8> {
    static constexpr int kOffset = 128;
    static Codes prepare(__m512i codes) { return _mm512_xor_si512(codes, _mm512_set1_epi8(-128)); }
  };
};

/// What dot_panels.h is written over.
struct BytesVnni {
  static __m512i multiply_add(__m512i sum, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(sum, a, b); }
  static __m512i load_again(const std::byte* aligned) {
    return *reinterpret_cast<const volatile __m512i*>(aligned);
  }
  static __m512i sub_bytes(__m512i a, __m512i b) { return _mm512_sub_epi8(a, b); }
};

}  // namespace

const Kernels& avx512vnni_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels = avx512_kernels();
    add_dot_products<Avx512, DotVnni, BytesVnni>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
