#include "msl/soft/guarded_memory.h"

#include <algorithm>

#include <sys/mman.h>

#include "support/fail.h"

namespace lattice::msl {
namespace {

constexpr std::size_t kGuardBytes = std::size_t{1} << 20;
// 2^31 float4 reach 32 GiB to either side: all that a 32-bit index can be wrong by.
constexpr std::size_t kWidestStride = std::size_t{64} << 30;

std::size_t page_up(std::size_t bytes) {
  constexpr std::size_t kPage = 65536;  // a multiple of every page size in use
  return (bytes + kPage - 1) / kPage * kPage;
}

}  // namespace

GuardedMemory::GuardedMemory(const std::vector<std::size_t>& sizes) : sizes_(sizes) {
  std::size_t needed = 0;
  for (const std::size_t size : sizes) needed = std::max(needed, page_up(size) + kGuardBytes);
  // Half a stride lies before a buffer's start, the other half must hold it.
  for (stride_ = kWidestStride; stride_ / 2 >= needed; stride_ /= 2) {
    bytes_ = stride_ * std::max<std::size_t>(sizes.size(), 1);
    void* at = mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) continue;
    base_ = static_cast<std::byte*>(at);
    break;
  }
  if (base_ == nullptr) fail("cannot reserve addresses to check {} buffers", sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (mprotect(buffer(i) - kGuardBytes, page_up(sizes[i]) + 2 * kGuardBytes, PROT_READ | PROT_WRITE) != 0) {
      munmap(base_, bytes_);
      fail("cannot map {} bytes for a buffer", sizes[i]);
    }
  }
}

GuardedMemory::~GuardedMemory() {
  munmap(base_, bytes_);
}

GuardedMemory::Place GuardedMemory::find(std::uint64_t address, std::uint64_t bytes) const noexcept {
  const std::size_t index = (address - reinterpret_cast<std::uint64_t>(base_)) / stride_;
  const auto offset = static_cast<std::int64_t>(address - reinterpret_cast<std::uint64_t>(buffer(index)));
  const auto guard = static_cast<std::int64_t>(kGuardBytes);
  const bool harmless = offset >= -guard && offset + static_cast<std::int64_t>(bytes) <=
                                                static_cast<std::int64_t>(page_up(sizes_[index])) + guard;
  return {index, offset, harmless};
}

}  // namespace lattice::msl
