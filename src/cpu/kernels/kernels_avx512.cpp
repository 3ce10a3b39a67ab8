// The kernels for AVX-512 F, BW, DQ and VL: everything that needs no VNNI.

#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_avx512.h"
#include "cpu/kernels/vector_kernels.h"

namespace lattice::cpu {
namespace {

/// vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits.
struct DotAvx512 {
  /// |w| · (x with w's sign). Two products, of at most 128 · 127, fit 16 bits, and no more do.
  struct Signed {
    struct Codes {
      __m512i magnitudes;
      __mmask64 negative;
    };
    using Sum = __m512i;
    static constexpr int kOffset = 0;
    static Codes prepare(__m512i codes) { return {_mm512_abs_epi8(codes), _mm512_movepi8_mask(codes)}; }
    static Sum zero() { return _mm512_setzero_si512(); }
    template <int>
    static Sum add(Sum sum, const Codes& w, __m512i x) {
      const __m512i with_sign = _mm512_mask_sub_epi8(x, w.negative, _mm512_setzero_si512(), x);
      const __m512i pairs = _mm512_maddubs_epi16(w.magnitudes, with_sign);
      return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    }
    static __m512i total(Sum sum) { return sum; }
  };

  /// Products of codes are added up in 16 bits as long as they fit, and then in 32.
  template <int kBits>
  struct Unsigned {
    static constexpr int kOffset = 0;
    /// Registers of pairs of products, of at most 2 · 127 · (2^bits − 1) each, that fit: 8, 4 and 2.
    static constexpr int kRun = 32767 / (2 * 127 * ((1 << kBits) - 1));
    using Codes = __m512i;
    struct Sum {
      __m512i narrow;
      __m512i wide;
    };
    static Codes prepare(__m512i codes) { return codes; }
    static Sum zero() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
    template <int kIndex>
    static Sum add(const Sum& sum, Codes w, __m512i x) {
      const __m512i pairs = _mm512_maddubs_epi16(w, x);
      const __m512i narrow = kIndex % kRun == 0 ? pairs : _mm512_add_epi16(sum.narrow, pairs);
      if constexpr (kIndex % kRun != kRun - 1) return {narrow, sum.wide};
      return {narrow, _mm512_add_epi32(sum.wide, _mm512_madd_epi16(narrow, _mm512_set1_epi16(1)))};
    }
    static __m512i total(const Sum& sum) { return sum.wide; }
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
