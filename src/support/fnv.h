#pragma once

#include <cstdint>
#include <string_view>

namespace lattice {

inline constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325u;

/// FNV-1a, 64 bits, of `bytes` after what `state` is the hash of. Tells texts apart that nobody forges: one
/// who wants two of the same hash finds them.
[[nodiscard]] constexpr std::uint64_t fnv1a(std::string_view bytes,
                                            std::uint64_t state = kFnvOffset) noexcept {
  for (const char c : bytes) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return state;
}

}  // namespace lattice
