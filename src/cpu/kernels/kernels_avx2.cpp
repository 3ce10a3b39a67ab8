// The kernels for AVX2 with FMA and F16C.

#include "cpu/kernels/attention_kernels.h"
#include "cpu/kernels/pair_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_avx2.h"
#include "cpu/kernels/vector_kernels.h"

namespace lattice::cpu {
namespace {

/// GCC puts additions of vectors off until their sum is needed, and keeps all terms until then: in memory,
/// since there are more than registers. A value that an assembler statement has seen is computed in its
/// place.
inline __m256i in_turn(__m256i sum) {
  asm("" : "+x"(sum));
  return sum;
}

/// What pair_panels.h is written over. vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16
/// bits.
struct PairsAvx2 {
  static __m256i ones() { return _mm256_set1_epi16(1); }
  static __m256i set1_word(std::int16_t x) { return _mm256_set1_epi16(x); }
  static __m256i multiply_bytes(__m256i a, __m256i b) { return _mm256_maddubs_epi16(a, b); }
  static __m256i multiply_words(__m256i a, __m256i b) { return _mm256_madd_epi16(a, b); }
  static __m256i add_words(__m256i a, __m256i b) { return _mm256_add_epi16(a, b); }
  static __m256i sub_words(__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); }
  static __m256i sub_bytes(__m256i a, __m256i b) { return _mm256_sub_epi8(a, b); }
  static __m256i times_minus_128(__m256i a) {
    return _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(a, 7));
  }
  static __m256i upper_bytes(__m256i a) { return _mm256_srai_epi16(a, 8); }
  static __m256i in_turn(__m256i a) { return lattice::cpu::in_turn(a); }
};

struct DotAvx2 : PairedCodes<Avx2, PairsAvx2> {
  /// |w| · (x with w's sign). Two products, of at most 128 · 127, fit 16 bits, and no more do.
  struct Signed : BroadcastInput<Avx2> {
    struct Codes {
      __m256i codes;
      __m256i magnitudes;
    };
    using Sum = __m256i;
    static constexpr int kOffset = 0;
    static Codes prepare(__m256i codes) { return {codes, _mm256_abs_epi8(codes)}; }
    static Sum start(std::int32_t value) { return _mm256_set1_epi32(value); }
    template <int>
    static Sum add(Sum sum, const Codes& w, __m256i x) {
      const __m256i pairs = _mm256_maddubs_epi16(w.magnitudes, _mm256_sign_epi8(x, w.codes));
      return in_turn(_mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
    }
    static __m256i total(Sum sum) { return sum; }
  };
};

}  // namespace

const Kernels& avx2_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels;
    add_float_products<Avx2>(kernels);
    add_paired_products<Avx2, DotAvx2, PairsAvx2>(kernels);
    add_vector_kernels<Avx2>(kernels);
    add_attention_kernels<Avx2>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
