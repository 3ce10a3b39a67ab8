// What AVX-512 VNNI adds to the AVX-512 kernels: products with int8 activations.

#include "cpu/kernels/dot_panels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_avx512.h"

namespace lattice::cpu {
namespace {

/// sum + w · the four bytes at `four`, in each lane. The instruction reads and broadcasts them by itself,
/// which GCC 12 does not know. Where instructions are emulated (tests/cpu/emulated) there is none.
inline __m512i add_broadcast(__m512i sum, __m512i w, const std::int8_t* four) {
#ifdef __AVX512VNNI__
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*reinterpret_cast<const char(*)[4]>(four)));
  return sum;
#else
  std::int32_t value;
  std::memcpy(&value, four, sizeof value);
  return _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(value));
#endif
}

/// vpdpbusd multiplies four unsigned by four signed bytes and adds them to 32 bits.
struct DotVnni {
  template <int>
  struct Unsigned {
    static constexpr int kOffset = 0;
    static constexpr bool kWholeBytes = true;
    using Codes = __m512i;
    using Sum = __m512i;
    static Codes prepare(__m512i codes) { return codes; }
    static Sum start(std::int32_t value) { return _mm512_set1_epi32(value); }
    static const std::int8_t* input(const std::int8_t* four) { return four; }
    template <int>
    static Sum add(Sum sum, Codes w, const std::int8_t* four) {
      return add_broadcast(sum, w, four);
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
