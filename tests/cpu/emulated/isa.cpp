// In the place of src/cpu/isa.cpp where the AVX-VNNI, AVX-512 and AMX kernels are compiled against
// tests/cpu/emulated/immintrin.h: this processor "has" those, and nothing else.

#include "cpu/isa.h"

#include <algorithm>
#include <array>

namespace lattice {
namespace {

struct Emulated {
  Isa isa;
  std::string_view name;
  const cpu::Kernels& (*kernels)() noexcept;
};

constexpr std::array kEmulated = {
    Emulated{Isa::kAvxVnni, "avxvnni", cpu::avxvnni_kernels},
    Emulated{Isa::kAvx512, "avx512", cpu::avx512_kernels},
    Emulated{Isa::kAvx512Vnni, "avx512vnni", cpu::avx512vnni_kernels},
    Emulated{Isa::kAmx, "amx", cpu::amx_kernels},
};

const Emulated& emulated(Isa isa) {
  return *std::ranges::find(kEmulated, isa, &Emulated::isa);
}

}  // namespace

std::string_view isa_name(Isa isa) noexcept {
  return emulated(isa).name;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Emulated& one : kEmulated) isas.push_back(one.isa);
  return isas;
}

namespace cpu {

const Kernels& kernels_of(Isa isa) noexcept {
  return emulated(isa).kernels();
}

std::int64_t weights_ahead() noexcept {
  return 0;
}

}  // namespace cpu
}  // namespace lattice
