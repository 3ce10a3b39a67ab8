#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace lattice::cpu {

/// Zeroed memory straight from the kernel, in large pages where it gives them: weights that are streamed once
/// a token gain a third of their bandwidth from 2 MiB pages on machines where a table walk costs a trip to
/// memory. Pages that are never touched cost nothing. Moves, does not copy.
class AlignedMemory {
 public:
  AlignedMemory() = default;
  /// Of its own pages. Throws Error naming the size when the machine has not that much.
  explicit AlignedMemory(std::size_t bytes);
  ~AlignedMemory() = default;
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
  friend class PageArena;

  /// Whole large pages.
  class Mapping;

  AlignedMemory(std::shared_ptr<Mapping> mapping, std::byte* data, std::size_t bytes) noexcept;

  std::shared_ptr<Mapping> mapping_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Memory for what is used together, side by side in large pages: a matrix of a small model is smaller than
/// one, and by itself would get small ones. Pages go when all that was taken from them has gone, the arena
/// included.
class PageArena {
 public:
  PageArena() = default;
  PageArena(const PageArena&) = delete;
  PageArena& operator=(const PageArena&) = delete;

  /// Zeroed memory, on a cache line of its own; empty for no bytes. Throws as AlignedMemory does.
  [[nodiscard]] AlignedMemory take(std::size_t bytes);

 private:
  struct Open {
    std::shared_ptr<AlignedMemory::Mapping> mapping;
    std::size_t used;
  };
  std::vector<Open> open_;
};

}  // namespace lattice::cpu
