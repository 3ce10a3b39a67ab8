// What the dot product extension adds to the NEON kernels: products with int8 activations.

#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_neon.h"

namespace lattice::cpu {
namespace {

/// SDOT multiplies four signed bytes by four and adds them to 32 bits.
struct DotSdot {
  struct Signed : BroadcastInput<Neon> {
    static constexpr int kOffset = 0;
    using Codes = int8x16_t;
    using Sum = int32x4_t;
    static Codes prepare(int32x4_t codes) { return vreinterpretq_s8_s32(codes); }
    static Sum start(std::int32_t value) { return vdupq_n_s32(value); }
    template <int>
    static Sum add(Sum sum, Codes w, int32x4_t x) {
      return vdotq_s32(sum, w, vreinterpretq_s8_s32(x));
    }
    static int32x4_t total(Sum sum) { return sum; }
  };
  template <int>
  using Unsigned = Signed;  // codes of up to six bits have no sign bit
};

}  // namespace

const Kernels& neon_dotprod_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels = neon_kernels();
    add_int8_products<Neon, DotSdot>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
