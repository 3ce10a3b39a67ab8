#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace lattice::cpu {

/// Memory that begins at a cache line.
template <typename T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() noexcept = default;
  template <typename U>
  LineAllocator(const LineAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory, kLine); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) noexcept = default;
};

/// What kernels load registers from: one of 64 bytes would straddle two lines each time if the vector began
/// where a common allocator lets it, at 16 bytes.
template <typename T>
using LineVector = std::vector<T, LineAllocator<T>>;

}  // namespace lattice::cpu
