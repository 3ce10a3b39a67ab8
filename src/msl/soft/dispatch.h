#pragma once

#include <array>
#include <cstdint>

#include "msl/stdlib/soft/abi.h"

namespace lattice::msl {

using Size3 = std::array<std::uint32_t, 3>;

[[nodiscard]] constexpr std::uint64_t volume(const Size3& size) noexcept {
  return std::uint64_t{size[0]} * size[1] * size[2];
}

/// A grid of threads, cut into threadgroups; those at the far edges may be smaller.
struct Grid {
  Size3 threads = {1, 1, 1};
  Size3 threadgroup = {1, 1, 1};

  [[nodiscard]] Size3 threadgroups() const noexcept {
    Size3 out{};
    for (std::size_t i = 0; i < 3; ++i) out[i] = (threads[i] - 1) / threadgroup[i] + 1;
    return out;
  }
};

/// The largest index of a buffer or of threadgroup memory, plus one, as Metal has it.
inline constexpr std::size_t kBindings = 31;

/// What Metal gives a threadgroup at most.
inline constexpr std::uint64_t kMaxThreadgroupBytes = 32768;

/// Everything that a threadgroup needs to run.
struct Launch {
  const soft::KernelInfo* kernel = nullptr;
  Grid grid;
  std::array<void*, kBindings> buffers = {};
  std::array<std::uint32_t, kBindings> threadgroup_bytes = {};  ///< of [[threadgroup(n)]]; 0: not bound
};

}  // namespace lattice::msl
