#include "cpu/aligned_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include <sys/mman.h>

#include "support/fail.h"

namespace lattice::cpu {
namespace {

// Of x86-64, and of AArch64 with pages of 4 KiB.
constexpr std::size_t kLargePage = std::size_t{2} << 20;

// What an arena asks the kernel for at a time: much more than a large page, of which the last one of each
// stays partly empty.
constexpr std::size_t kArenaBytes = std::size_t{64} << 20;

constexpr std::size_t kLine = 64;

std::size_t up_to(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace

class AlignedMemory::Mapping {
 public:
  explicit Mapping(std::size_t bytes) {
    // One page more, so that the first byte can be a large page's.
    const bool fits = bytes <= std::numeric_limits<std::size_t>::max() - 2 * kLargePage;
    size_ = fits ? up_to(bytes, kLargePage) + kLargePage : bytes;
    void* start = fits ? ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                       : MAP_FAILED;
    if (start == MAP_FAILED)
      fail("{:.2f} GB of memory were needed and the machine did not give them",
           static_cast<double>(bytes) * 1e-9);
    start_ = static_cast<std::byte*>(start);
    const std::size_t past = reinterpret_cast<std::uintptr_t>(start) % kLargePage;
    data_ = start_ + (past == 0 ? 0 : kLargePage - past);
#ifdef MADV_HUGEPAGE
    ::madvise(data_, up_to(bytes, kLargePage), MADV_HUGEPAGE);  // a wish: where it is refused, small pages do
#endif
  }
  ~Mapping() {
    ::munmap(start_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] std::byte* data() const noexcept {
    return data_;
  }
  /// Bytes from data() on.
  [[nodiscard]] std::size_t size() const noexcept {
    return size_ - kLargePage;
  }

 private:
  std::byte* start_;
  std::size_t size_;
  std::byte* data_;
};

AlignedMemory::AlignedMemory(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  mapping_ = std::make_shared<Mapping>(bytes);
  data_ = mapping_->data();
}

AlignedMemory::AlignedMemory(std::shared_ptr<Mapping> mapping, std::byte* data, std::size_t bytes) noexcept
    : mapping_(std::move(mapping)), data_(data), size_(bytes) {}

AlignedMemory::AlignedMemory(AlignedMemory&& other) noexcept
    : mapping_(std::move(other.mapping_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

AlignedMemory& AlignedMemory::operator=(AlignedMemory&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void AlignedMemory::clear() noexcept {
  if (data_ != nullptr) std::memset(data_, 0, size_);
}

AlignedMemory PageArena::take(std::size_t bytes) {
  if (bytes == 0) return {};
  auto found = std::ranges::find_if(
      open_, [&](const Open& open) { return open.mapping->size() - open.used >= bytes; });
  if (found == open_.end()) {
    open_.push_back({std::make_shared<AlignedMemory::Mapping>(std::max(bytes, kArenaBytes)), 0});
    found = open_.end() - 1;
  }
  std::byte* data = found->mapping->data() + found->used;
  found->used = up_to(found->used + bytes, kLine);
  return {found->mapping, data, bytes};
}

}  // namespace lattice::cpu
