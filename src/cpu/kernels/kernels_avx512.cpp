// The kernels for AVX-512 F, BW, DQ and VL: everything that needs no VNNI.

#include "cpu/kernels/attention_kernels.h"
#include "cpu/kernels/pair_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_avx512.h"
#include "cpu/kernels/vector_kernels.h"

namespace lattice::cpu {
namespace {

/// As in kernels_avx2.cpp: a sum that is computed in its place. Where the instructions are emulated
/// (tests/cpu/emulated) there is no register to hold it.
inline __m512i in_turn(__m512i sum) {
#ifdef __AVX512F__
  asm("" : "+v"(sum));
#endif
  return sum;
}

/// What pair_panels.h is written over. vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16
/// bits.
struct PairsAvx512 {
  static __m512i ones() { return _mm512_set1_epi16(1); }
  static __m512i set1_word(std::int16_t x) { return _mm512_set1_epi16(x); }
  static __m512i multiply_bytes(__m512i a, __m512i b) { return _mm512_maddubs_epi16(a, b); }
  static __m512i multiply_words(__m512i a, __m512i b) { return _mm512_madd_epi16(a, b); }
  static __m512i add_words(__m512i a, __m512i b) { return _mm512_add_epi16(a, b); }
  static __m512i sub_words(__m512i a, __m512i b) { return _mm512_sub_epi16(a, b); }
  static __m512i sub_bytes(__m512i a, __m512i b) { return _mm512_sub_epi8(a, b); }
  static __m512i times_minus_128(__m512i a) {
    return _mm512_sub_epi16(_mm512_setzero_si512(), _mm512_slli_epi16(a, 7));
  }
  static __m512i upper_bytes(__m512i a) { return _mm512_srai_epi16(a, 8); }
  static __m512i in_turn(__m512i a) { return lattice::cpu::in_turn(a); }
};

struct DotAvx512 : PairedCodes<Avx512, PairsAvx512> {
  /// |w| · (x with w's sign). Two products, of at most 128 · 127, fit 16 bits, and no more do.
  struct Signed : BroadcastInput<Avx512> {
    struct Codes {
      __m512i magnitudes;
      __mmask64 negative;
    };
    using Sum = __m512i;
    static constexpr int kOffset = 0;
    static Codes prepare(__m512i codes) { return {_mm512_abs_epi8(codes), _mm512_movepi8_mask(codes)}; }
    static Sum start(std::int32_t value) { return _mm512_set1_epi32(value); }
    template <int>
    static Sum add(Sum sum, const Codes& w, __m512i x) {
      const __m512i with_sign = _mm512_mask_sub_epi8(x, w.negative, _mm512_setzero_si512(), x);
      const __m512i pairs = _mm512_maddubs_epi16(w.magnitudes, with_sign);
      return in_turn(_mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1))));
    }
    static __m512i total(Sum sum) { return sum; }
  };
};

}  // namespace

const Kernels& avx512_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels;
    add_float_products<Avx512>(kernels);
    add_paired_products<Avx512, DotAvx512, PairsAvx512>(kernels);
    add_vector_kernels<Avx512>(kernels);
    add_attention_kernels<Avx512>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
