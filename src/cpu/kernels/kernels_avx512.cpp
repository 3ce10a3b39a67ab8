// The kernels for AVX-512 F, BW, DQ and VL: everything that needs no VNNI.

#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_avx512.h"
#include "cpu/kernels/vector_kernels.h"

namespace lattice::cpu {
namespace {

/// vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits.
struct DotAvx512 {
  static constexpr int kOffsetQ8 = 0;

  /// |w| · (x with w's sign). Two products, of at most 128 · 127, fit 16 bits, and no more do.
  struct Signed {
    struct Codes {
      __m512i magnitudes;
      __mmask64 negative;
    };
    using Sum = __m512i;
    static Codes prepare(__m512i codes) { return {_mm512_abs_epi8(codes), _mm512_movepi8_mask(codes)}; }
    static Sum zero() { return _mm512_setzero_si512(); }
    static Sum add(Sum sum, const Codes& w, __m512i x) {
      const __m512i with_sign = _mm512_mask_sub_epi8(x, w.negative, _mm512_setzero_si512(), x);
      const __m512i pairs = _mm512_maddubs_epi16(w.magnitudes, with_sign);
      return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    }
    static __m512i total(Sum sum) { return sum; }
  };

  /// A block's eight pairs of products, of at most 15 · 127, fit 16 bits: 8 · 2 · 15 · 127 = 30480.
  struct Nibbles {
    using Codes = __m512i;
    using Sum = __m512i;
    static Codes prepare(__m512i codes) { return codes; }
    static Sum zero() { return _mm512_setzero_si512(); }
    static Sum add(Sum sum, Codes w, __m512i x) { return _mm512_add_epi16(sum, _mm512_maddubs_epi16(w, x)); }
    static __m512i total(Sum sum) { return _mm512_madd_epi16(sum, _mm512_set1_epi16(1)); }
  };
};

}  // namespace

const Kernels& avx512_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels;
    add_float_products<Avx512>(kernels);
    add_int8_products<Avx512, DotAvx512>(kernels);
    add_vector_kernels<Avx512>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
