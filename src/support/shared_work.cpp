#include "support/shared_work.h"

#include <algorithm>

namespace lattice {
namespace {

// Pieces get smaller towards the end, where they decide how long the last thread is waited for.
constexpr std::int64_t kPartOfLeft = 4;

// Below that many items, another thread has done them sooner than they could be taken from it.
constexpr std::int64_t kLeastTaken = 2;

std::uint64_t packed(Share share) noexcept {
  return static_cast<std::uint64_t>(share.first) << 32 | static_cast<std::uint64_t>(share.last);
}

Share unpacked(std::uint64_t range) noexcept {
  return {static_cast<std::int64_t>(range >> 32), static_cast<std::int64_t>(range & 0xffffffff)};
}

}  // namespace

// Every order of the words is the same to the items, which the phase's beginning and end put in order.

void SharedWork::deal(int thread, Share share) noexcept {
  shares_[static_cast<std::size_t>(thread)].range.store(packed(share), std::memory_order_relaxed);
}

bool SharedWork::take(int thread, std::int64_t grain, Share& piece) noexcept {
  if (take_own(thread, grain, piece)) return true;
  const int threads = static_cast<int>(shares_.size());
  for (int i = 1; i < threads; ++i) {
    if (take_half(thread, (thread + i) % threads) && take_own(thread, grain, piece)) return true;
  }
  return false;
}

bool SharedWork::take_own(int thread, std::int64_t grain, Share& piece) noexcept {
  auto& range = shares_[static_cast<std::size_t>(thread)].range;
  std::uint64_t before = range.load(std::memory_order_relaxed);
  while (true) {
    const auto [first, last] = unpacked(before);
    if (first == last) return false;
    const std::int64_t part = (last - first) / kPartOfLeft;
    const std::int64_t count = std::min(std::max(part / grain, std::int64_t{1}) * grain, last - first);
    piece = {first, first + count};
    if (range.compare_exchange_weak(before, packed({first + count, last}), std::memory_order_relaxed))
      return true;
  }
}

/// Makes the second half of what `other` has left `thread`'s own, which is empty.
bool SharedWork::take_half(int thread, int other) noexcept {
  auto& range = shares_[static_cast<std::size_t>(other)].range;
  std::uint64_t before = range.load(std::memory_order_relaxed);
  while (true) {
    const auto [first, last] = unpacked(before);
    if (last - first < kLeastTaken) return false;
    const std::int64_t middle = first + (last - first + 1) / 2;
    if (!range.compare_exchange_weak(before, packed({first, middle}), std::memory_order_relaxed)) continue;
    deal(thread, {middle, last});
    return true;
  }
}

}  // namespace lattice
