#include "cpu/amx.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cstdint>

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lattice::cpu {

#if defined(__x86_64__) && defined(__linux__)
namespace {

/// Intel, "Architecture Instruction Set Extensions Programming Reference": leaf 7 of CPUID.
bool has_amx() {
  constexpr unsigned kBf16 = 1U << 22;
  constexpr unsigned kTile = 1U << 24;
  constexpr unsigned kInt8 = 1U << 25;
  constexpr unsigned kAll = kBf16 | kTile | kInt8;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAll) == kAll;
}

/// Whether the system keeps what belongs to tiles: their shapes and their data, bits 17 and 18 of XCR0.
bool system_keeps_tiles() {
  constexpr unsigned kTiles = 3U << 17;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) return false;
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTiles) == kTiles;
}

/// Linux, Documentation/arch/x86/xstate.rst. For the whole process, threads that run already included.
bool ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of <asm/prctl.h>, which may be older
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

bool may_use_amx() noexcept {
  static const bool may = has_amx() && system_keeps_tiles() && ask_for_tiles();
  return may;
}
#else
bool may_use_amx() noexcept {
  return false;
}
#endif

}  // namespace lattice::cpu
