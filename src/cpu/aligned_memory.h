#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lattice::cpu {

/// Zeroed memory straight from the kernel, in large pages where it gives them: weights that are streamed once
/// a token gain a third of their bandwidth from 2 MiB pages on machines where a table walk costs a trip to
/// memory. Pages that are never touched cost nothing. Moves, does not copy.
class AlignedMemory {
 public:
  AlignedMemory() = default;
  /// Throws Error naming the size when the machine has not that much.
  explicit AlignedMemory(std::size_t bytes);
  ~AlignedMemory();
  AlignedMemory(AlignedMemory&& other) noexcept;
  AlignedMemory& operator=(AlignedMemory&& other) noexcept;
  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  template <typename T>
  [[nodiscard]] T* as() const noexcept {
    return reinterpret_cast<T*>(data_);
  }
  /// Sets every byte to zero.
  void clear() noexcept;

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lattice::cpu
