#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lattice::msl {

/// Buffers in one stretch of addresses, each so far from the next that an index which is wrong by billions
/// still belongs to the buffer that it was meant for.
///
/// Around each buffer lie readable guards, where a small overrun does no harm and the kernel can go on;
/// farther out the addresses are reserved and not mapped. Nothing of a reservation costs memory.
class GuardedMemory {
 public:
  struct Place {
    std::size_t buffer;
    std::int64_t offset;  ///< from the buffer's start; may be negative
    bool harmless;        ///< in the buffer or its guards
  };

  /// Throws Error where the addresses cannot be had.
  explicit GuardedMemory(const std::vector<std::size_t>& sizes);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  [[nodiscard]] std::byte* buffer(std::size_t i) const noexcept { return base_ + i * stride_ + stride_ / 2; }
  [[nodiscard]] bool contains(std::uint64_t address) const noexcept {
    return address - reinterpret_cast<std::uint64_t>(base_) < bytes_;
  }
  /// Which buffer an address within the stretch belongs to, and where in it.
  [[nodiscard]] Place find(std::uint64_t address, std::uint64_t bytes) const noexcept;

 private:
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t stride_ = 0;
  std::vector<std::size_t> sizes_;
};

}  // namespace lattice::msl
