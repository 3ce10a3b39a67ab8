// In the place of src/cpu/isa.cpp where the AVX-VNNI, AVX-512 and AMX kernels are compiled against
// tests/cpu/emulated/immintrin.h: this processor "has" those, and nothing else.

#include "cpu/isa.h"

namespace lattice {

std::string_view isa_name(Isa isa) noexcept {
  switch (isa) {
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    default:
      return "amx";
  }
}

std::vector<Isa> available_isas() {
  return {Isa::kAvxVnni, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAmx};
}

namespace cpu {

const Kernels& kernels_of(Isa isa) noexcept {
  switch (isa) {
    case Isa::kAvxVnni:
      return avxvnni_kernels();
    case Isa::kAvx512:
      return avx512_kernels();
    case Isa::kAvx512Vnni:
      return avx512vnni_kernels();
    default:
      return amx_kernels();
  }
}

std::int64_t weights_ahead() noexcept {
  return 0;
}

}  // namespace cpu
}  // namespace lattice
