#include "cpu/aligned_memory.h"

#include <cstring>
#include <utility>

#include <sys/mman.h>

#include "support/fail.h"

namespace lattice::cpu {

AlignedMemory::AlignedMemory(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    fail("{:.2f} GB of memory were needed and the machine did not give them",
         static_cast<double>(bytes) * 1e-9);
  data_ = static_cast<std::byte*>(data);
#ifdef MADV_HUGEPAGE
  ::madvise(data, bytes, MADV_HUGEPAGE);  // a wish: where it is refused, small pages do
#endif
}

AlignedMemory::~AlignedMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

AlignedMemory::AlignedMemory(AlignedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedMemory& AlignedMemory::operator=(AlignedMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void AlignedMemory::clear() noexcept {
  if (data_ != nullptr) std::memset(data_, 0, size_);
}

}  // namespace lattice::cpu
