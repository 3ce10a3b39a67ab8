// In the place of src/cpu/isa.cpp where the AVX-512 and AMX kernels are compiled against
// tests/cpu/emulated/immintrin.h: this processor "has" those, and nothing else.

#include "cpu/isa.h"

namespace lattice {

std::string_view isa_name(Isa isa) noexcept {
  if (isa == Isa::kAmx) return "amx";
  return isa == Isa::kAvx512Vnni ? "avx512vnni" : "avx512";
}

std::vector<Isa> available_isas() {
  return {Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAmx};
}

namespace cpu {

const Kernels& kernels_of(Isa isa) noexcept {
  if (isa == Isa::kAmx) return amx_kernels();
  return isa == Isa::kAvx512Vnni ? avx512vnni_kernels() : avx512_kernels();
}

std::int64_t weights_ahead() noexcept {
  return 0;
}

}  // namespace cpu
}  // namespace lattice
