#include "cpu/isa.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "cpu/amx.h"
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
    IsaName{Isa::kNeon, "neon"},
    IsaName{Isa::kNeonDotprod, "neon_dotprod"},
    IsaName{Isa::kNeonI8mm, "neon_i8mm"},
    IsaName{Isa::kAvx2, "avx2"},
    IsaName{Isa::kAvxVnni, "avxvnni"},
    IsaName{Isa::kAvx512, "avx512"},
    IsaName{Isa::kAvx512Vnni, "avx512vnni"},
    IsaName{Isa::kAmx, "amx"},
};

#if defined(__x86_64__)
struct CpuId {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};

/// Zeros where the processor has no such leaf.
CpuId cpu_id(unsigned leaf, unsigned subleaf) {
  CpuId id;
  return __get_cpuid_count(leaf, subleaf, &id.eax, &id.ebx, &id.ecx, &id.edx) != 0 ? id : CpuId{};
}

// Clang 14 does not know these two's names to ask __builtin_cpu_supports for.
bool has_f16c() {
  return (cpu_id(1, 0).ecx & bit_F16C) != 0;
}

/// Intel 64 and IA-32 Architectures Software Developer's Manual, CPUID, leaf 7, subleaf 1.
bool has_avx_vnni() {
  return (cpu_id(7, 1).eax & (1u << 4)) != 0;
}
#elif defined(__aarch64__)
struct ArmFeatures {
  bool dotprod;
  bool i8mm;
};

ArmFeatures arm_features() {
#if defined(__linux__)
  return {.dotprod = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0,
          .i8mm = (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0};
#elif defined(__APPLE__)
  const auto has = [](const char* name) {
    int value = 0;
    std::size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  return {.dotprod = has("hw.optional.arm.FEAT_DotProd"), .i8mm = has("hw.optional.arm.FEAT_I8MM")};
#else
  return {.dotprod = false, .i8mm = false};
#endif
}
#endif

}  // namespace

std::string_view isa_name(Isa isa) noexcept {
  const auto* found = std::ranges::find(kNames, isa, &IsaName::isa);
  return found->name;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas = {Isa::kScalar};
#if defined(__x86_64__)
  // Each includes the one before, as every processor that has the later ones does; but AVX-VNNI, which came
  // later than AVX-512 and to processors without it.
  if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())) return isas;
  isas.push_back(Isa::kAvx2);
  if (has_avx_vnni()) isas.push_back(Isa::kAvxVnni);
  if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")))
    return isas;
  isas.push_back(Isa::kAvx512);
  if (!__builtin_cpu_supports("avx512vnni")) return isas;
  isas.push_back(Isa::kAvx512Vnni);
  if (cpu::may_use_amx()) isas.push_back(Isa::kAmx);
#elif defined(__aarch64__)
  isas.push_back(Isa::kNeon);  // part of the architecture
  const auto [dotprod, i8mm] = arm_features();
  if (dotprod) isas.push_back(Isa::kNeonDotprod);
  if (dotprod && i8mm) isas.push_back(Isa::kNeonI8mm);
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
    fail_usage("this processor cannot run the {} kernels{}; the best that it can run are {}",
               isa_name(*wanted), *wanted == Isa::kAmx ? ", or the system does not let it" : "",
               isa_name(available.back()));
  }
  return *wanted;
}

std::int64_t weights_ahead() noexcept {
#if defined(__x86_64__)
  // Measured on an Emerald Rapids Xeon. Of AMD's processors, Zen 4 is slower so.
  static const std::int64_t ahead = __builtin_cpu_is("intel") ? 8192 : 0;
  return ahead;
#else
  return 0;
#endif
}

const Kernels& kernels_of(Isa isa) noexcept {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return avx2_kernels();
    case Isa::kAvxVnni:
      return avxvnni_kernels();
    case Isa::kAvx512:
      return avx512_kernels();
    case Isa::kAvx512Vnni:
      return avx512vnni_kernels();
    case Isa::kAmx:
      return amx_kernels();
#elif defined(__aarch64__)
    case Isa::kNeon:
      return neon_kernels();
    case Isa::kNeonDotprod:
      return neon_dotprod_kernels();
    case Isa::kNeonI8mm:
      return neon_i8mm_kernels();
#endif
    default:
      return scalar_kernels();
  }
}

}  // namespace cpu
}  // namespace lattice
