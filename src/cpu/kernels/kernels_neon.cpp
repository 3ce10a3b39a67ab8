// The kernels for AArch64's Advanced SIMD, as every such processor has it.

#include "cpu/kernels/attention_kernels.h"
#include "cpu/kernels/product_kernels.h"
#include "cpu/kernels/simd_neon.h"
#include "cpu/kernels/vector_kernels.h"

namespace lattice::cpu {
namespace {

/// Bytes are multiplied to 16 bits and added in pairs to 32: lanes of the two sums are the rows' halves.
struct DotNeon {
  struct Signed : BroadcastInput<Neon> {
    static constexpr int kOffset = 0;
    using Codes = int8x16_t;
    struct Sum {
      int32x4_t low;   // [row 0, row 0, row 1, row 1]
      int32x4_t high;  // [row 2, row 2, row 3, row 3]
    };
    static Codes prepare(int32x4_t codes) { return vreinterpretq_s8_s32(codes); }
    static Sum start(std::int32_t value) {
      const int32x4_t one_of_two = {value, 0, value, 0};
      return {one_of_two, one_of_two};
    }
    template <int>
    static Sum add(const Sum& sum, Codes w, int32x4_t x) {
      const int8x16_t v = vreinterpretq_s8_s32(x);
      return {vpadalq_s16(sum.low, vmull_s8(vget_low_s8(w), vget_low_s8(v))),
              vpadalq_s16(sum.high, vmull_high_s8(w, v))};
    }
    static int32x4_t total(const Sum& sum) { return vpaddq_s32(sum.low, sum.high); }
  };
  template <int>
  using Unsigned = Signed;  // codes of up to six bits have no sign bit
};

}  // namespace

const Kernels& neon_kernels() noexcept {
  static const Kernels table = [] {
    Kernels kernels;
    add_float_products<Neon>(kernels);
    add_int8_products<Neon, DotNeon>(kernels);
    add_vector_kernels<Neon>(kernels);
    add_attention_kernels<Neon>(kernels);
    return kernels;
  }();
  return table;
}

}  // namespace lattice::cpu
