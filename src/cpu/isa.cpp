#include "cpu/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "cpu/cpu_backend.h"
#include "support/fail.h"

namespace lattice {
namespace {

struct IsaName {
  Isa isa;
  std::string_view name;
};

constexpr std::array kNames = {
    IsaName{Isa::kScalar, "scalar"},
    IsaName{Isa::kAvx2, "avx2"},
};

}  // namespace

std::string_view isa_name(Isa isa) noexcept {
  const auto* found = std::ranges::find(kNames, isa, &IsaName::isa);
  return found->name;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas = {Isa::kScalar};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    isas.push_back(Isa::kAvx2);
  }
#endif
  return isas;
}

namespace cpu {

Isa choose_isa(std::optional<Isa> wanted) {
  const std::vector<Isa> available = available_isas();
  if (!wanted) {
    const char* forced = std::getenv("LATTICE_ISA");
    if (forced == nullptr || *forced == '\0') return available.back();
    const auto* named = std::ranges::find(kNames, std::string_view(forced), &IsaName::name);
    if (named == kNames.end())
      fail_usage(
          "LATTICE_ISA is \"{}\", which is none of the instruction sets that the kernels are written for",
          forced);
    wanted = named->isa;
  }
  if (std::ranges::find(available, *wanted) == available.end()) {
    fail_usage("this processor cannot run the {} kernels; the best that it can run are {}", isa_name(*wanted),
               isa_name(available.back()));
  }
  return *wanted;
}

const Kernels& kernels_of(Isa isa) noexcept {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2) return avx2_kernels();
#endif
  (void)isa;
  return scalar_kernels();
}

}  // namespace cpu
}  // namespace lattice
