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

/// What dot_panels.h is written over.
struct BytesVnni {
  struct Input {
    static const std::int8_t* input(const std::int8_t* four) { return four; }
  };
  static __m512i multiply_add(__m512i sum, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(sum, a, b); }
  static __m512i multiply_add(__m512i sum, __m512i a, const std::int8_t* four) {
    return add_broadcast(sum, a, four);
  }
  static __m512i load_again(const std::byte* aligned) {
    return *reinterpret_cast<const volatile __m512i*>(aligned);
  }
  static __m512i sub_bytes(__m512i a, __m512i b) { return _mm512_sub_epi8(a, b); }
};

}  // namespace

const Kernels& avx512vnni_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels = avx512_kernels();
    add_dot_products<Avx512, BytesVnni>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
